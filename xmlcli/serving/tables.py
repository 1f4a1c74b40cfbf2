"""Write predicted labels as tables: TSV, CSV that Excel opens, and Excel workbooks.

A table has a row for each label, or, where it is wide, one for each document: the columns that the document came with,
and behind them its labels and their scores.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from xmlcli.errors import UsageError
from xmlcli.machine.packages import import_optional
from xmlcli.machine.terminal import shown
from xmlcli.serving.answers import CSV, TSV, AnswerForm, Ranked, kept_labels

_LOG = logging.getLogger(__name__)
_MOST_ROWS, _MOST_CHARACTERS = 1_048_576, 32_767  # of a sheet and of a cell in Excel
_KEPT_SIGNS = re.compile(r"([\n\t])")

Cell: TypeAlias = "str | int | float | None"


class Rows(Protocol):
    """Turns rows of cells into bytes."""

    def lines(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Return what can be written of some rows."""

    def end(self) -> bytes:
        """Return what can be written only at the end."""


def make_table_answers(form: AnswerForm, label_names: Sequence[str]) -> TableAnswers:
    """Return the writer of a table of that form. Raises UsageError where a package is missing."""
    rows: Rows = TsvRows() if form.format == TSV else CsvRows(form.mark) if form.format == CSV else ExcelRows()
    return TableAnswers(rows, form, label_names)


class TableAnswers:
    """Writes a header and then the rows of each block; see the module."""

    def __init__(self, rows: Rows, form: AnswerForm, label_names: Sequence[str]) -> None:
        self._rows, self._form, self._names, self._count = rows, form, label_names, 0
        self._k = min(form.k, len(label_names))
        self._columns: list[str] | None = None

    def block(self, ranked: Ranked) -> bytes:
        """See `Answers`."""
        head = self._begin(ranked.fields)
        return self._rows.lines([*head, *self._body(ranked)])

    def end(self) -> bytes:
        """Return the end of the table, and its header where there was no document."""
        return self._rows.lines(self._begin([])) + self._rows.end()

    def _begin(self, fields: Sequence[Mapping[str, Any]]) -> list[list[Cell]]:
        """Return the header where it has not been written. Its columns are those that the first block came with."""
        if self._columns is not None:
            return []
        self._columns = list(dict.fromkeys(name for row in fields for name in row))
        if self._form.wide:
            answers = [f"{what} {i}" for i in range(1, self._k + 1) for what in ("label", "score")]
            return [[*self._columns, *answers]]
        return [["document", *self._columns, "label", "score"]]

    def _body(self, ranked: Ranked) -> Iterator[list[Cell]]:
        for row, (ids, scores) in enumerate(kept_labels(ranked, len(self._names), self._form.threshold)):
            self._count += 1
            carried = self._carried(ranked.fields[row] if ranked.fields else {})
            answers = [(self._names[label], score) for label, score in zip(ids, scores, strict=True)]
            if not self._form.wide:
                yield from ([self._count, *carried, name, score] for name, score in answers)
                continue
            padding: list[Cell] = [None] * (2 * (self._k - len(answers)))
            yield [*carried, *(cell for answer in answers for cell in answer), *padding]

    def _carried(self, fields: Mapping[str, Any]) -> list[Cell]:
        assert self._columns is not None
        if len(fields) > len(self._columns) or not fields.keys() <= set(self._columns):
            new = next(name for name in fields if name not in self._columns)
            raise UsageError(
                f"document {self._count:,} has a column {new!r} that those before it lack",
                remedy="write JSON lines, or name the columns with --keep",
            )
        return [_cell(fields.get(name)) for name in self._columns]


class TsvRows:
    """Lines of cells between tabs; white space in a cell becomes a space."""

    def lines(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """See `Rows`."""
        return "".join("\t".join(map(self._text, row)) + "\n" for row in rows).encode()

    def end(self) -> bytes:
        """Return nothing."""
        return b""

    @staticmethod
    def _text(cell: Cell) -> str:
        if isinstance(cell, str):
            return shown(" ".join(cell.split()))
        return _number(cell)


class CsvRows:
    """Lines of cells between commas, in the form that Excel writes itself."""

    def __init__(self, mark: bool) -> None:
        self._mark = BOM_UTF8 if mark else b""

    def lines(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """See `Rows`."""
        text = io.StringIO(newline="")
        csv.writer(text).writerows([_safe(c) if isinstance(c, str) else _number(c) for c in row] for row in rows)
        mark, self._mark = self._mark, b""
        return mark + text.getvalue().encode()

    def end(self) -> bytes:
        """Return nothing."""
        return b""


class ExcelRows:
    """One sheet of a workbook; texts stay texts, whatever they begin with."""

    def __init__(self) -> None:
        openpyxl = import_optional("openpyxl", "excel", "writing Excel", "or write .csv, which Excel opens")
        self._cell = import_optional("openpyxl.cell", "excel", "writing Excel").WriteOnlyCell
        self._workbook = openpyxl.Workbook(write_only=True)
        self._sheet = self._workbook.create_sheet("labels")
        self._sheet.freeze_panes = "A2"
        self._count = 0

    def lines(self, rows: Sequence[Sequence[Cell]]) -> bytes:
        """Return nothing yet. Raises UsageError for more rows than a sheet holds."""
        self._count += len(rows)
        if self._count > _MOST_ROWS:
            raise UsageError(f"an Excel sheet holds at most {_MOST_ROWS:,} rows", remedy="write .csv")
        for row in rows:
            self._sheet.append([self._made(cell) for cell in row])
        return b""

    def end(self) -> bytes:
        """Return the workbook."""
        content = io.BytesIO()
        self._workbook.save(content)
        return content.getvalue()

    def _made(self, cell: Cell) -> Any:
        if not isinstance(cell, str):
            return cell
        if len(cell) > _MOST_CHARACTERS:
            _LOG.warning("texts are cut at %s characters, the most that a cell of Excel holds", f"{_MOST_CHARACTERS:,}")
        made = self._cell(self._sheet, _safe(cell)[:_MOST_CHARACTERS])
        made.data_type = "s"  # else one that begins with = is a formula
        return made


def _cell(value: object) -> Cell:
    """Return a value of a table or of JSON as a cell."""
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _number(cell: Cell) -> str:
    return "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _safe(text: str) -> str:
    """Return a text whose control characters are escapes, but for tabs and the ends of lines."""
    if text.isprintable():
        return text
    parts = _KEPT_SIGNS.split(text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(part if _KEPT_SIGNS.fullmatch(part) else shown(part) for part in parts)
