"""Read the rows of a table: CSV, TSV, JSONL, Parquet and Excel. Imports nothing slow.

CSV and TSV have a line of column names; its separator, a comma, semicolon or tab, is that of all lines. Labels are one
text, divided at the label separator, or a list: in CSV and TSV as JSON or Python write it. A document may have none.
"""

from __future__ import annotations

import ast
import csv
import io
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from xmlcli.datasets.formats.problems import SAVE_AS_UTF8, FileProblems, TableColumns, missing_columns
from xmlcli.datasets.formats.streams import (
    MOST_LINE_BYTES,
    bounded_lines,
    decoded,
    numbered_lines,
    open_stream,
    plain_suffix,
)
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress

_ROWS_A_REPORT = 20_000
_DELIMITERS = ",;\t"
_MOST_LITERAL = 1 << 16
"""Python's own reader of a list takes hundreds of times as much memory as the list."""

Record = Mapping[str, Any]


def records(
    path: Path,
    wanted: tuple[str, ...],
    problems: FileProblems,
    progress: Progress,
    *,
    others: Collection[str] | None = (),
) -> Iterator[tuple[int, Record]]:
    """Yield the records of a file with their line numbers; other lines are noted as problems.

    Args:
        path: the file; its suffix says which kind it is.
        wanted: columns that have to be there.
        problems: collects what is wrong.
        progress: told how much is read.
        others: columns to be read too where they are there, None for all; a record may hold more.
    """
    match plain_suffix(path):
        case ".jsonl" | ".ndjson":
            return _json_records(path, problems, progress)
        case ".parquet":
            from xmlcli.datasets.formats.parquet import parquet_records

            return parquet_records(path, wanted, others, progress)
        case ".xlsx":
            from xmlcli.datasets.formats.excel import excel_records

            return excel_records(path, wanted, progress)
        case _:
            return _csv_records(path, wanted, problems, progress)


def column_names(text: str) -> tuple[str, ...]:
    """Return the columns that an option names, separated by commas."""
    return tuple(name.strip() for name in text.split(","))


def text_of(record: Record, columns: tuple[str, ...], number: int, problems: FileProblems) -> str | None:
    """Return the text of a document, its columns joined by spaces; if one is no text, note that and return None."""
    parts = []
    for column in columns:
        value = record.get(column, ...)
        if value is None:
            continue
        if type(value) is not str:
            problems.add(number, f"text under {column!r}", _shown(record, column))
            return None
        parts.append(value)
    return " ".join(part for part in parts if part)


def labels_of(value: object, columns: TableColumns, number: int, problems: FileProblems) -> list[str] | None:
    """Return the labels of a document; if they are neither text nor a list of texts, note that and return None."""
    if value is None:
        return []
    if type(value) is str:
        names = _named(value, columns, number, problems)
        return None if names is None else _stripped(names)
    if type(value) is int:
        return [str(value)]
    if type(value) is list and all(type(name) in (str, int) for name in value):
        return _stripped(map(str, value))
    problems.add(number, f"a text or a list of texts under {columns.labels!r}", repr(value))
    return None


def _named(text: str, columns: TableColumns, number: int, problems: FileProblems) -> list[str] | None:
    """Return the labels in a text, a list of them as JSON or Python write it or divided at the separator."""
    if text[:1] != "[" or text[-1:] != "]":
        return text.split(columns.separator)
    names = _listed(text)
    if names is None and len(text) > _MOST_LITERAL:
        problems.add(number, f"a list as JSON writes it, or of at most {_MOST_LITERAL:,} characters", text[:40])
        return None
    if names is not None and not all(name.isascii() or is_whole(name) for name in names):
        problems.add(number, "labels of whole characters", ascii(text), "write the list as JSON in UTF-8")
        return None
    return text.split(columns.separator) if names is None else names


def is_whole(text: str) -> bool:
    """Whether a text has no half characters (lone surrogates), which no file can hold."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _stripped(names: Iterable[str]) -> list[str]:
    return [stripped for name in names if (stripped := name.strip())]


def _listed(text: str) -> list[str] | None:
    """Return the texts of a list as JSON or Python write it, such as pandas puts into CSV, or None for other text."""
    for parse in (orjson.loads, _literal) if len(text) <= _MOST_LITERAL else (orjson.loads,):
        try:
            found = parse(text)
            if type(found) is list and all(type(name) in (str, int) for name in found):
                return list(map(str, found))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _literal(text: str) -> object:
    """Return the value of a Python literal, without Python's warnings of how it is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.literal_eval(text)


def _shown(record: Record, column: str) -> str:
    return repr(record[column]) if column in record else f"only {', '.join(map(str, record))}"


def _csv_records(
    path: Path, wanted: tuple[str, ...], problems: FileProblems, progress: Progress
) -> Iterator[tuple[int, Record]]:
    """Yield the records of a CSV or TSV file, each with the number of its first line."""
    total = path.stat().st_size
    with open_stream(path) as (content, position), _long_fields():
        lines = io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="")
        first, before = lines.readline(MOST_LINE_BYTES), 1
        if first.strip('"\r\n').startswith("sep="):  # as Excel names the delimiter
            first, before = lines.readline(MOST_LINE_BYTES), 2
        delimiter, header = _header(path, first, wanted)
        reader = csv.reader(bounded_lines(lines.readline, path), delimiter=delimiter, strict=True)
        while True:
            number = reader.line_num + before + 1
            try:
                fields = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                problems.add(number, "a line of CSV", str(error))
                continue
            if number % _ROWS_A_REPORT == 0:
                progress(f"read {path.name}", position(), total)
            if not fields:
                continue
            if len(fields) != len(header):
                remedy = f"put a field that holds {delimiter!r} or a line break in double quotes"
                problems.add(number, f"{len(header)} fields, as in line {before}", f"{len(fields)}", remedy)
            elif any(not field.isascii() and _is_broken(field) for field in fields):
                problems.add(number, "UTF-8 text", _bytes_shown(next(filter(_is_broken, fields))), SAVE_AS_UTF8)
            else:
                yield number, dict(zip(header, fields, strict=True))
    progress(f"read {path.name}", total, total)


def _header(path: Path, line: str, wanted: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the delimiter by which a line of column names has all that are wanted, and the names.

    Raises:
        DatasetError: there is none, or a wanted column is there twice.
    """
    if "\0" in line or _is_broken(line):
        remedy = SAVE_AS_UTF8.replace("WINDOWS-1252", "UTF-16") if "\0" in line else SAVE_AS_UTF8
        raise DatasetError(f"{path}: not UTF-8 text", where="line 1", found=_bytes_shown(line), remedy=remedy)
    if not wanted:
        sign = max(_DELIMITERS, key=line.count)
        return sign, [name.strip() for name in next(csv.reader([line], delimiter=sign), [])]
    columns = {sign: [name.strip() for name in next(csv.reader([line], delimiter=sign), [])] for sign in _DELIMITERS}
    for sign, names in columns.items():
        if set(wanted) <= set(names):
            twice = [name for name in wanted if names.count(name) > 1]
            if twice:
                several = ", ".join(map(repr, twice))
                raise DatasetError(f"{path}: several columns {several}", remedy="rename all but one")
            return sign, names
    raise missing_columns(path, wanted, max(columns.values(), key=len))


def _is_broken(field: str) -> bool:
    """Whether a field stands for bytes that are not UTF-8."""
    return any("\udc80" <= sign <= "\udcff" for sign in field)


def _bytes_shown(text: str) -> str:
    """Return the start of a text; bytes that are not UTF-8 stay as they are."""
    return repr(text[:60].encode("utf-8", "surrogateescape"))[1:]


class _long_fields:  # noqa: N801  a context manager used as a word
    """Let CSV fields be as long as lines may be while a file is read."""

    def __enter__(self) -> None:
        self._before = csv.field_size_limit(MOST_LINE_BYTES)

    def __exit__(self, *_: object) -> None:
        csv.field_size_limit(self._before)


def _json_records(path: Path, problems: FileProblems, progress: Progress) -> Iterator[tuple[int, Record]]:
    for number, line in numbered_lines(path, None, progress):
        text = decoded(line, number, problems)
        if not text:
            continue
        try:
            record = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            problems.add(number, "a JSON object", f"{text[:40]!r} ({error})")
            continue
        if type(record) is dict:
            yield number, record
        else:
            problems.add(number, "a JSON object", repr(text[:40]))
