"""Excel workbooks are read as the CSV of the same sheet is."""

from __future__ import annotations

import csv
import zipfile
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from xmlcli.datasets.find import locate
from xmlcli.datasets.load import read_dataset
from xmlcli.errors import DatasetError

ROWS = [
    ["nr", "text", "labels", "when"],
    [1, "red apple", "fruit;red", date(2020, 1, 2)],
    [2, "a bolt", "hardware", None],
    [None, None, None, None],
    [3, 1984, "novel", None],
    [4, None, None, None],
]


def write(path: Path) -> Path:
    workbook = openpyxl.Workbook()
    for row in ROWS:
        workbook.active.append(row)
    workbook.create_sheet("notes").append(["of no interest"])
    workbook.save(path)
    return path


def test_a_workbook_says_what_its_csv_says(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx")
    with (tmp_path / "b.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row for row in ROWS if any(row))
    one, other = (read_dataset(locate(str(tmp_path / name), [])) for name in ("a.xlsx", "b.csv"))
    assert one.train.texts == other.train.texts == ["red apple", "a bolt", "1984", ""]
    assert one.label_names == other.label_names
    assert (one.train.Y != other.train.Y).nnz == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no Excel workbook"), (b"PK\x03\x04 no archive", "no Excel workbook"), (None, "no Excel workbook")],
)
def test_what_is_no_workbook_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "a.xlsx"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("[Content_Types].xml", "<Types")
    else:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        read_dataset(locate(str(path), []))


def test_a_workbook_that_unpacks_to_a_hundred_times_its_size_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sheet1.xml", b" " * (20 << 20))
    with pytest.raises(DatasetError, match="more content than a file of its size"):
        read_dataset(locate(str(tmp_path / "a.xlsx"), []))


def test_a_missing_column_names_a_near_one(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["texts", "labels"])
    workbook.save(tmp_path / "a.xlsx")
    with pytest.raises(DatasetError, match="no column 'text', did you mean 'texts'"):
        read_dataset(locate(str(tmp_path / "a.xlsx"), []))
