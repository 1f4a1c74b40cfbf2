"""A table is looked at before training: what is wrong in it is told, and a wrong separator trains nothing."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import openpyxl
import pytest
from support.command_line import main
from support.fake_stages import FAKES
from support.paths import PROJECT

from xmlcli.datasets.check import check_table
from xmlcli.datasets.formats.problems import TableColumns
from xmlcli.runs import runner

Patch, Capture = pytest.MonkeyPatch, pytest.CaptureFixture[str]
DIRTY = [
    "id;title;subjects",
    "1;my card was charged twice;billing",
    "2;the parcel is late;delivery|returns",
    "3;the parcel is late;Delivery",
    "4;;login",
    "5;please send the invoice;",
    "6;I cannot sign in;login|billing",
    "7;how do I send it back;delivery|returns",
]


def write(path: Path, lines: list[str] = DIRTY) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_check_finds_columns_and_separator_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    path = write(tmp_path / "books.csv")
    assert main(monkeypatch, "check", str(path)) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "books.csv: text in 'title', labels in 'subjects', separated by '|'",
        "rows 7",
        "without text 1",
        "without labels 1",
        "with a text that an earlier row has 1",
        "labels 5, 1.29 a row",
        "labels in one row alone 1",
        "labels that differ by case or space 1: delivery / Delivery",
        f"xmlcli train --dataset {path} --text-column title --labels-column subjects --label-separator '|'",
    ]


def test_a_workbook_is_checked_as_its_csv_is(tmp_path: Path, monkeypatch: Patch, capsys: Capture) -> None:
    workbook = openpyxl.Workbook()
    for line in DIRTY:
        workbook.active.append(line.split(";"))
    workbook.save(tmp_path / "books.xlsx")
    shown = []
    for path in (write(tmp_path / "books.csv"), tmp_path / "books.xlsx"):
        assert main(monkeypatch, "check", str(path)) == 0
        shown.append(capsys.readouterr().out.replace(path.name, ""))
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("labels", "given", "likely"),
    [
        (["a|b", "a", "b|c", "c"], ";", "|"),
        (["a;b", "a", "b;c", "c"], "|", ";"),
        (["a,b", "a", "b,c", "c"], ";", ","),
        (["Roe, Jo; Sea", "Sea; Poe, Al", "Poe, Al; Roe, Jo", "Sea"], ",", ";"),
        (["Roe, Jo; Sea", "Sea; Poe, Al", "Poe, Al; Roe, Jo", "Sea"], ";", None),
        (["Fiction, general", "Fiction, crime", "History, general", "History, modern"], ";", None),
        (["a", "b", "c"], ";", None),
        (['["a|b"]', '["a|b"]', '["c|d"]'], ";", None),
    ],
)
def test_another_separator_is_suspected_where_parts_recur(
    labels: list[str], given: str, likely: str | None, tmp_path: Path
) -> None:
    quoted = ['"' + label.replace('"', '""') + '"' for label in labels]
    path = write(tmp_path / "t.csv", ["text,labels", *(f"w,{label}" for label in quoted)])
    assert check_table(path, TableColumns(separator=given)).likely == likely


def test_a_wrong_separator_trains_nothing_and_names_the_right_one(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    path = write(tmp_path / "books.csv")
    words = ("train", "--dataset", str(path), "--root", str(tmp_path / "root"), "--device", "cpu")
    columns = ("--text-column", "title", "--labels-column", "subjects")
    assert main(monkeypatch, *words, *columns) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no labels cell holds ';', 3 of 6 hold '|'; did you mean --label-separator '|'?" in line
    assert not (tmp_path / "root").exists()
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=FAKES.__getitem__))
    for more in (("--label-separator", "|"), ("--no-check",)):
        assert main(monkeypatch, *words[:-3], str(tmp_path / more[-1][-4:]), *words[-2:], *columns, *more) == 0
        said = capsys.readouterr().err
        assert ("books.csv: 7 rows, 1 without text, 1 without labels" in said) == (more[0] != "--no-check")


MISTYPED = """
import sys
from xmlcli import cli
sys.argv = ["xmlcli", *sys.argv[1:]]
try: cli.main()
except SystemExit as stop: print(stop.code, sorted({"torch", "numpy", "scipy", "numba", "sklearn"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "-d", "{}/boks.csv"), "did you mean {}/books.csv?"),
        (("train", "-d", "{}/books.csv", "--text-column", "titel"), "did you mean 'title'"),
        (("train", "-d", "nope"), "no dataset 'nope'"),
        (("check", "{}/boks.csv"), "did you mean"),
    ],
)
def test_a_mistyped_file_or_column_is_told_before_anything_slow_is_imported(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    write(tmp_path / "books.csv")
    given = [word.format(tmp_path) for word in words]
    place = [] if words[0] == "check" else ["--root", str(tmp_path / "root")]
    command = [sys.executable, "-c", MISTYPED, *given, *place]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout == "2 []\n"
    assert said.format(tmp_path) in done.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    "words", [("evaluate",), ("plan",), ("predict", "--text", "a"), ("export", "x"), ("settings",)], ids=" ".join
)
def test_a_dataset_that_is_not_there_is_the_error_and_nothing_is_left_behind(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    assert main(monkeypatch, *words, "--dataset", "nope", "--root", str(tmp_path)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("xmlcli: no dataset 'nope'")
    assert len(shown.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
