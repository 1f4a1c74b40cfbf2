"""Read the rows of the first sheet of an Excel workbook, where openpyxl is installed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from xml.etree.ElementTree import ParseError

from xmlcli.datasets.formats.problems import missing_columns
from xmlcli.datasets.formats.streams import LEAST_CONTENT
from xmlcli.errors import DatasetError
from xmlcli.machine.packages import import_optional
from xmlcli.progress import Progress

_LARGEST_RATIO = 100
_ROWS_A_REPORT = 2_000


def excel_records(
    path: Path, wanted: tuple[str, ...], progress: Progress
) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    """Yield the rows below the line of column names, as texts, with their numbers; empty rows are left out.

    Raises:
        UsageError: openpyxl is not installed.
        DatasetError: a column is missing, or the file is no workbook.
    """
    openpyxl = import_optional("openpyxl", "excel", f"{path}: Excel", "or save as CSV UTF-8")
    try:
        _check_size(path)
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = workbook.worksheets[0]
            rows, total = sheet.iter_rows(values_only=True), sheet.max_row or 0
            names = [_text(cell) or "" for cell in next(rows, ())]
            if not set(wanted) <= set(names):
                raise missing_columns(path, wanted, [name for name in names if name])
            for number, cells in enumerate(rows, start=2):
                if number % _ROWS_A_REPORT == 0:
                    progress(f"read {path.name}", number, max(total, number))
                if any(cell is not None for cell in cells):
                    found = dict(zip(names, map(_text, cells), strict=False))
                    yield number, {name: found.get(name) for name in names if name}
        finally:
            workbook.close()
    except (zipfile.BadZipFile, ParseError, KeyError, ValueError, IndexError, TypeError, EOFError) as error:
        raise DatasetError(
            f"{path}: no Excel workbook that can be read", found=str(error), remedy="save it again, or as CSV UTF-8"
        ) from error


def _check_size(path: Path) -> None:
    """Raise DatasetError where the file holds much more than one of its size should."""
    with zipfile.ZipFile(path) as archive:
        content = sum(entry.file_size for entry in archive.infolist())
    most = max(LEAST_CONTENT, _LARGEST_RATIO * path.stat().st_size)
    if content > most:
        raise DatasetError(
            f"{path}: more content than a file of its size should hold",
            expected=f"at most {most:,} bytes",
            found=f"{content:,}",
            remedy="save it as CSV UTF-8",
        )


def _text(cell: object) -> str | None:
    """Return a cell as Excel shows it, as far as that is known: whole numbers without a point, dates as ISO 8601."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)
