"""Reader of tables with a column of text and a column of labels: CSV, TSV, JSONL and Parquet.

CSV and TSV have a line of column names; fields are separated by the comma, semicolon or tab that fits it. Labels are
one text, divided at the separator, or in JSONL and Parquet also a list. A document may have none.
"""

from __future__ import annotations

import csv
import importlib
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from xmlcli.datasets.named import NamedFile, NamedRows, NameTable
from xmlcli.datasets.raw import Problems, TableColumns
from xmlcli.datasets.streams import decoded, numbered_lines, open_stream, plain_suffix
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

_ROWS_A_REPORT = 20_000
_DELIMITERS = ",;\t"

Record = Mapping[str, Any]


def read_split(
    path: Path,
    columns: TableColumns,
    table: NameTable,
    *,
    max_documents: int | None = None,
    progress: Progress = silent,
) -> NamedFile:
    """Read one file.

    Args:
        path: the file; its suffix says which kind it is.
        columns: names of the columns, and what separates labels.
        table: collects the names of labels.
        max_documents: take only so many of the first documents.
        progress: told how much is read.

    Raises:
        DatasetError: a column is missing, or lines are malformed; all problems are counted, the first ten shown.
    """
    problems = Problems(path)
    rows = NamedRows(table)
    texts = tuple(name.strip() for name in columns.text.split(","))
    for number, record in records(path, (*texts, columns.labels), problems, progress):
        text = text_of(record, texts, number, problems)
        labels = _labels(record.get(columns.labels), columns, number, problems)
        if text is not None and labels is not None:
            rows.add(text, labels)
        if len(rows) == max_documents:
            break
    problems.raise_if_any()
    return NamedFile(rows)


def records(
    path: Path, wanted: tuple[str, ...], problems: Problems, progress: Progress
) -> Iterator[tuple[int, Record]]:
    """Numbered records of a file; lines that are none are noted as problems."""
    match plain_suffix(path):
        case ".jsonl" | ".ndjson":
            return _json_records(path, problems, progress)
        case ".parquet":
            return _parquet_records(path, wanted, progress)
        case _:
            return _csv_records(path, wanted, problems, progress)


def text_of(record: Record, columns: tuple[str, ...], number: int, problems: Problems) -> str | None:
    """The text of a document, columns joined by spaces; None and a note where one is no text."""
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


def _labels(value: object, columns: TableColumns, number: int, problems: Problems) -> list[str] | None:
    """The labels of a document; None and a note where they are neither text nor a list of texts."""
    if value is None:
        return []
    if type(value) is str:
        return [name for part in value.split(columns.separator) if (name := part.strip())]
    if type(value) is list and all(type(name) in (str, int) for name in value):
        return [str(name).strip() for name in value]
    found = f"{value!r}"
    problems.add(number, f"a text or a list of texts under {columns.labels!r}", found)
    return None


def _shown(record: Record, column: str) -> str:
    return repr(record[column]) if column in record else f"only {', '.join(map(str, record))}"


def _csv_records(
    path: Path, wanted: tuple[str, ...], problems: Problems, progress: Progress
) -> Iterator[tuple[int, Record]]:
    """Records of a CSV or TSV file; the number is that of the record's first line."""
    total = path.stat().st_size
    with open_stream(path) as (content, position), _long_fields():
        lines = io.TextIOWrapper(content, encoding="utf-8-sig", errors="surrogateescape", newline="")
        first = lines.readline()
        header = next(csv.reader([first], delimiter=_delimiter(path, first, wanted)))
        reader = csv.reader(lines, delimiter=_delimiter(path, first, wanted), strict=True)
        while True:
            number = reader.line_num + 2
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
                problems.add(number, f"{len(header)} fields, as in line 1", f"{len(fields)}")
            elif any(not field.isascii() and _is_broken(field) for field in fields):
                problems.add(number, "UTF-8 text", repr(next(filter(_is_broken, fields))[:60]))
            else:
                yield number, dict(zip(header, fields, strict=True))
    progress(f"read {path.name}", total, total)


def _delimiter(path: Path, header: str, wanted: tuple[str, ...]) -> str:
    """The delimiter by which a header line has all wanted columns.

    Raises:
        DatasetError: there is none.
    """
    columns = {sign: next(csv.reader([header], delimiter=sign), []) for sign in _DELIMITERS}
    for sign, names in columns.items():
        if set(wanted) <= set(names):
            return sign
    raise _missing(path, wanted, max(columns.values(), key=len))


def _missing(path: Path, wanted: tuple[str, ...], names: list[str]) -> DatasetError:
    missing = [name for name in wanted if name not in names] or list(wanted)
    return DatasetError(
        f"{path}: no column {' and no column '.join(map(repr, missing))}",
        found=f"columns {', '.join(map(repr, names[:20]))}",
        remedy="name them with --text-column and --labels-column",
    )


def _is_broken(field: str) -> bool:
    """Whether a field stands for bytes that are not UTF-8."""
    return any("\udc80" <= sign <= "\udcff" for sign in field)


class _long_fields:  # noqa: N801  a context manager used as a word
    """Let CSV fields be of any length while a file is read."""

    def __enter__(self) -> None:
        self._before = csv.field_size_limit(sys.maxsize)

    def __exit__(self, *_: object) -> None:
        csv.field_size_limit(self._before)


def _json_records(path: Path, problems: Problems, progress: Progress) -> Iterator[tuple[int, Record]]:
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


def _parquet_records(path: Path, wanted: tuple[str, ...], progress: Progress) -> Iterator[tuple[int, Record]]:
    """Rows of a Parquet file, numbered from 1.

    Raises:
        DatasetError: pyarrow is not installed, a column is missing, or the file is damaged.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DatasetError(
            f"{path}: Parquet files need the package pyarrow",
            remedy="pip install 'xmlcli[parquet]', or save the table as CSV or JSONL",
        ) from error
    number = 0
    try:
        file = parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
        if not set(wanted) <= set(names):
            raise _missing(path, wanted, names)
        for batch in file.iter_batches(columns=list(wanted)):
            for record in batch.to_pylist():
                number += 1
                yield number, record
            progress(f"read {path.name}", number, file.metadata.num_rows)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        raise DatasetError(f"{path}: damaged Parquet file", found=str(error)) from error
