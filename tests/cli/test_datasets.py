"""The commands datasets and convert, and training from a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xmlcli.cli import app
from xmlcli.datasets.published.catalogue import KNOWN_DATASETS

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMLCLI_DATA", raising=False)
    monkeypatch.setenv("XMLCLI_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


def table(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("body,tags\nred apple,fruit|red\ngreen pear,fruit\n")


def test_datasets_lists_published_ones_and_those_here() -> None:
    table(Path("data/mine/all.csv"))
    Path("data/notes").mkdir()
    Path("data/EURLex-4K").mkdir()
    Path("data/EURLex-4K/train.txt").write_text("1 1 1\n0 0:1\n")
    rows = {row["name"]: row for row in json.loads(run(app, ["datasets", "--json"]).output)}
    assert set(rows) == {known.name for known in KNOWN_DATASETS} | {"demo", "mine", "notes"}
    assert rows["EURLex-4K"]["here"] == "data/EURLex-4K"
    assert rows["EURLex-4K"]["short_names"] == ["eurlex"]
    assert (rows["EURLex-4K"]["labels"], rows["EURLex-4K"]["training_documents"]) == (1, 1)
    assert (rows["Bibtex"]["labels"], rows["Bibtex"]["training_documents"]) == (159, 4880)
    assert (rows["mine"]["training_documents"], rows["mine"]["labels"]) == (2, None)
    assert rows["Amazon-3M"]["here"] is None
    assert (rows["Amazon-3M"]["propensity_a"], rows["Amazon-3M"]["propensity_b"]) == (0.6, 2.6)
    assert rows["LF-WikiTitles-500K"]["labels"] is None
    assert (rows["mine"]["layout"], rows["notes"]["layout"]) == ("table", None)
    lines = run(app, ["datasets", "--wide"]).output.splitlines()
    assert any(line.startswith("EURLex-4K ") and line.endswith("data/EURLex-4K") for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_fits_the_terminal_and_begins_with_what_is_here(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table(Path("data/mine/all.csv"))
    monkeypatch.setenv("COLUMNS", str(width))
    lines = [line.rstrip() for line in run(app, ["datasets"]).output.splitlines()]
    assert max(map(len, lines)) <= width or width == 80
    names = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert names.index("mine") < names.index("published") < names.index("Bibtex")
    assert any(line.split()[:2] == ["mine", "2"] for line in lines)
    assert any("1,712,536" in line and "739,665" in line and "2,812,281" in line for line in lines), "no number wraps"


def test_convert_reads_a_table_by_its_columns_and_writes_both_layouts() -> None:
    table(Path("mine.csv"))
    options = ["--text-column", "body", "--labels-column", "tags", "--label-separator", "|"]
    result = run(app, ["convert", "mine.csv", "out/lf", "--to", "lf", *options])
    assert result.exit_code == 0, result.output
    assert "mine (table): 2 training and 0 test documents, 2 labels" in result.output
    assert sorted(path.name for path in Path("out/lf").iterdir()) == ["lbl.json.gz", "trn.json.gz"]
    assert run(app, ["convert", "out/lf", "out/pecos", "--to", "pecos"]).exit_code == 0
    assert Path("out/pecos/X.trn.txt").read_text() == "red apple\ngreen pear\n"
    assert Path("out/pecos/output-items.txt").read_text() == "fruit\nred\n"


def test_convert_writes_nothing_where_the_source_is_malformed() -> None:
    Path("mine.csv").write_text("text,labels\na,b,c\n")
    result = run(app, ["convert", "mine.csv", "out", "--to", "lf"])
    assert "mine.csv: 1 problem" in str(result.exception)
    assert not Path("out").exists()


def test_prepare_reads_a_table_with_the_columns_asked_for() -> None:
    table(Path("mine.csv"))
    options = ["--set", "prepare.min_df=1", "--set", "prepare.validation_fraction=0.0"]
    columns = ["--text-column", "body", "--labels-column", "tags", "--label-separator", "|"]
    result = run(app, ["prepare", "--dataset", "./mine.csv", *options, *columns])
    assert result.exit_code == 0, (result.output, result.exception)
    prepared = json.loads(Path("artifacts/mine/prepared/prepared.json").read_text())
    assert (prepared["layout"], prepared["labels"], prepared["training_rows"]) == ("table", 2, 2)
    assert json.loads(Path("artifacts/mine/prepared/labels.json").read_text()) == ["fruit", "red"]
    result = run(app, ["prepare", "--dataset", "./mine.csv", *options])
    assert "no column 'text'" in str(result.exception)
