"""A librarian's table through predict: what she brought comes back beside the labels, in files that Excel opens."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import openpyxl
import pytest
from support import small_model
from support.command_line import main

MODEL = ("--model", str(small_model.folder()))
ROWS = [
    {"id": "b17", "text": "opera0 opera1 opera2", "title": "=Die Zauberflöte"},
    {"id": "007", "text": "birds0 birds1 birds2", "title": "Vögel, und\nanderes"},
    {"id": "b19", "text": "", "title": ""},
]
Patch, Capture = pytest.MonkeyPatch, pytest.CaptureFixture[str]


def write(path: Path, text_column: str = "text") -> Path:
    """Write the rows as CSV, without labels."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", text_column, "title"])
        rows.writerows(list(row.values()) for row in ROWS)
    return path


def predict(monkeypatch: Patch, source: Path, output: Path, *words: str) -> int:
    return main(monkeypatch, "predict", *MODEL, "-i", str(source), "-o", str(output), "-k", "2", *words)


def test_a_csv_begins_with_the_mark_of_excel_and_passes_the_id_through(tmp_path: Path, monkeypatch: Patch) -> None:
    source, output = write(tmp_path / "new.csv"), tmp_path / "labels.csv"
    assert predict(monkeypatch, source, output, "--keep", "title") == 0
    raw = output.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfdocument,id,title,label,score\r\n")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    assert [(row["document"], row["id"], row["label"]) for row in rows[::2]][:2] == [
        ("1", "b17", "opera"),
        ("2", "007", "birds"),
    ]
    assert rows[2]["title"] == ROWS[1]["title"]
    assert 0.5 < float(rows[0]["score"]) <= 1


def test_a_workbook_and_a_csv_that_are_wide_hold_the_rows_as_they_were_and_their_labels(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    source = write(tmp_path / "new.csv")
    for name in ("labels.csv", "labels.xlsx"):
        assert predict(monkeypatch, source, tmp_path / name, "--wide") == 0
    with (tmp_path / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    sheet = list(openpyxl.load_workbook(tmp_path / "labels.xlsx").active.iter_rows())
    head = ["id", "text", "title", "label 1", "score 1", "label 2", "score 2"]
    assert rows[0] == [cell.value for cell in sheet[0]] == head
    assert [row[:3] for row in rows[1:]] == [list(row.values()) for row in ROWS]
    assert [row[3] for row in rows[1:3]] == [row[3].value for row in sheet[1:3]] == ["opera", "birds"]
    assert [row[0].value for row in sheet[1:]] == ["b17", "007", "b19"]
    assert sheet[1][2].value == "=Die Zauberflöte"
    assert sheet[1][2].data_type == "s", "a text that looks like a formula stays a text"
    assert sheet[1][4].data_type == "n"


def test_a_workbook_that_predict_wrote_is_read_as_input(tmp_path: Path, monkeypatch: Patch) -> None:
    assert predict(monkeypatch, write(tmp_path / "new.csv"), tmp_path / "new.xlsx", "--wide") == 0
    assert predict(monkeypatch, tmp_path / "new.xlsx", tmp_path / "labels.jsonl", "--id-column", "title") == 0
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines[:2]] == [ROWS[0]["title"], ROWS[1]["title"]]
    assert [line["labels"][0] for line in lines[:2]] == ["opera", "birds"]


def test_json_lines_pass_an_id_and_other_columns_through(tmp_path: Path, monkeypatch: Patch) -> None:
    source, output = tmp_path / "new.jsonl", tmp_path / "labels.jsonl"
    source.write_text("\n".join(json.dumps(row | {"id": number}) for number, row in enumerate(ROWS)))
    assert predict(monkeypatch, source, output, "--keep", "title") == 0
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(line["document"], line["id"], line["row"]) for line in lines] == [
        (number + 1, number, {"title": row["title"]}) for number, row in enumerate(ROWS)
    ]
    assert predict(monkeypatch, source, output, "--wide") == 0
    assert json.loads(output.read_text().splitlines()[0])["row"] == ROWS[0] | {"id": 0}
    source.write_text('{"text": "opera0"}\n')
    assert predict(monkeypatch, source, output) == 0
    assert set(json.loads(output.read_text())) == {"document", "labels", "scores"}


def test_the_models_own_column_is_the_default(tmp_path: Path, monkeypatch: Patch, capfd: Capture) -> None:
    import xmlcli

    texts, labels = small_model.texts_and_labels(60)
    (tmp_path / "old.csv").write_text(
        "summary;subjects\n" + "\n".join(f"{t};{'|'.join(n)}" for t, n in zip(texts, labels, strict=True))
    )
    place = ("--root", str(tmp_path), "--device", "cpu")
    columns = ("--text-column", "summary", "--labels-column", "subjects", "--label-separator", "|")
    small = [word for key, value in small_model.SMALL.items() for word in ("--set", f"{key}={value}")]
    assert main(monkeypatch, "train", "--dataset", str(tmp_path / "old.csv"), *columns, *place, *small) == 0
    assert main(monkeypatch, "export", *place[:2], str(tmp_path / "model")) == 0
    assert xmlcli.load(tmp_path / "model").text_column == "summary"
    write(tmp_path / "new.csv", "summary")
    for model in (("--model", str(tmp_path / "model")), place[:2]):
        words = ("-i", str(tmp_path / "new.csv"), "-o", str(tmp_path / "labels.tsv"))
        assert main(monkeypatch, "predict", *model, *words) == 0
        assert (tmp_path / "labels.tsv").read_text().startswith("document\tid\tlabel\tscore\n1\tb17\t")
    write(tmp_path / "new.csv", "sumary")
    capfd.readouterr()
    assert main(monkeypatch, "predict", *place[:2], *words) == 2
    assert "no column 'summary', did you mean 'sumary'?" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("-o", "labels.doc"),
            "no answers are written as .doc; where: labels.doc; expected: .jsonl, .tsv, .csv, .xlsx",
        ),
        (("--format", "xlsx"), "a workbook cannot be written to standard output"),
        (("-o", "x.npz", "--wide"), "a matrix has no place for --wide"),
        (("--wide", "--keep", "title"), "--keep beside --wide"),
        (("--id-column", "nr"), "no column 'nr'"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: Patch, capfd: Capture
) -> None:
    source = write(tmp_path / "new.csv")
    before = sorted(tmp_path.iterdir())
    words = tuple(str(tmp_path / word) if word.startswith(("labels.", "x.")) else word for word in words)
    assert main(monkeypatch, "predict", *MODEL, "-i", str(source), *words) == 2
    assert said.replace("labels.doc", str(tmp_path / "labels.doc")) in capfd.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_lines_of_text_have_no_columns(tmp_path: Path, monkeypatch: Patch, capfd: Capture) -> None:
    (tmp_path / "new.txt").write_text("opera0\n")
    assert predict(monkeypatch, tmp_path / "new.txt", tmp_path / "labels.csv", "--id-column", "id") == 2
    assert "has no columns to go with the answers" in capfd.readouterr().err
    assert main(monkeypatch, "predict", *MODEL, "--text", "opera0", "--wide") == 2
    assert "--wide beside --text" in capfd.readouterr().err


def test_without_openpyxl_excel_names_the_extra(tmp_path: Path, monkeypatch: Patch, capfd: Capture) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "new.xlsx").write_bytes(b"")
    assert predict(monkeypatch, tmp_path / "new.xlsx", tmp_path / "labels.csv") == 2
    assert "Excel needs the package openpyxl; what to do: pip install 'xmlcli[excel]', or save as CSV UTF-8" in (
        capfd.readouterr().err
    )
    assert predict(monkeypatch, write(tmp_path / "new.csv"), tmp_path / "labels.xlsx") == 2
    assert "or write .csv, which Excel opens" in capfd.readouterr().err


def test_empty_texts_unknown_words_and_a_threshold_above_all_are_told_in_a_line(
    tmp_path: Path, monkeypatch: Patch, capfd: Capture
) -> None:
    for text in ("", "zzz qqq"):
        assert main(monkeypatch, "predict", *MODEL, "--text", text) == 0
        assert "no word of the text is known" in capfd.readouterr().err
    assert main(monkeypatch, "predict", *MODEL, "--text", "and1", "--threshold", "1") == 0
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "no label is at or above 1; best is ." in shown.err
    source = write(tmp_path / "new.csv")
    source.write_text("id,text,title\n1,and1,\n2,and2,\n3,,\n")
    assert predict(monkeypatch, source, tmp_path / "labels.csv", "--threshold", "1") == 0
    said = capfd.readouterr().err
    assert "no known word in 1 of 3 documents" in said
    assert "no label at or above 1 for 3 of 3 documents; best is ." in said


def test_the_format_is_obeyed_with_text(tmp_path: Path, monkeypatch: Patch, capfd: Capture) -> None:
    assert main(monkeypatch, "predict", *MODEL, "--text", "opera0", "--format", "jsonl") == 0
    assert json.loads(capfd.readouterr().out)["labels"][0] == "opera"
    assert main(monkeypatch, "predict", *MODEL, "--text", "opera0", "-o", str(tmp_path / "one.csv")) == 0
    assert (tmp_path / "one.csv").read_text(encoding="utf-8-sig").splitlines()[1].startswith("1,opera,")


def test_evaluate_shows_f1_other_ks_and_f1_at_a_threshold(monkeypatch: Patch, capfd: Capture) -> None:
    place = ("--root", str(small_model.run()))
    assert main(monkeypatch, "evaluate", *place, "-m", "psp@5,p@1", "-m", "f1@2", "--threshold", "0.5") == 0
    lines = dict(line.rsplit(" ", 1) for line in capfd.readouterr().out.splitlines())
    assert list(lines)[:3] == ["PSP@5", "P@1", "F1@2"]
    assert float(lines["micro F1"]) > 80
    assert 1 < float(lines["labels a document"]) < 2
    assert main(monkeypatch, "evaluate", *place, "-k", "2", "-k", "4", "--threshold", "0.5") == 0
    shown = capfd.readouterr().out
    assert "@2" in shown
    assert "@5" not in shown
    assert "at 0.5: micro F1 " in shown
    assert main(monkeypatch, "evaluate", *place, "--json", "--threshold", "0") == 0
    report = json.loads(capfd.readouterr().out)
    assert report["threshold"] == 0
    assert report["at_threshold"]["recall"] == 100
