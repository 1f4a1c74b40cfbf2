"""A run remembers its source and settings; another under its name is refused; runs are listed and removed."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from support.command_line import main
from support.fake_stages import FAKES

from xmlcli.runs import runner
from xmlcli.runs.snapshot import published
from xmlcli.storage.workspace import Workspace

Patch, Capture = pytest.MonkeyPatch, pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A folder with a table and its copy elsewhere; stages are fakes."""
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=FAKES.__getitem__))
    for name in ("books.csv", "other/books.csv", "copy/books.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text,labels\nred apple,fruit\n" + ("a bolt,tool\n" if "other" in name else ""))
    return tmp_path


def train(monkeypatch: Patch, place: Path, source: str, *words: str) -> int:
    root = ("--root", str(place / "root"), "--device", "cpu")
    return main(monkeypatch, "train", "--dataset", str(place / source), *root, *words)


def content(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


ONE = ("--set", "cycles=1")


@pytest.mark.parametrize(
    ("source", "words", "expected", "found"),
    [
        ("other/books.csv", ONE, "a dataset at {}/books.csv", "{}/other/books.csv"),
        ("books.csv", (), "--set cycles=1", "the settings of the pipeline file"),
        ("books.csv", (*ONE, "--seed", "2"), "--set cycles=1", "--set cycles=1 --set seed=2"),
    ],
)
def test_another_source_or_other_settings_ask_for_a_name_or_replace(
    source: str, words: tuple[str, ...], expected: str, found: str, place: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    assert train(monkeypatch, place, "books.csv", *ONE) == 0
    before = content(place / "root")
    capsys.readouterr()
    assert train(monkeypatch, place, source, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    said = f"run books has been trained otherwise; expected: {expected}; found: {found}; what to do: add --name books-2"
    assert said.format(place, place) in line
    assert content(place / "root") == before
    assert train(monkeypatch, place, source, *words, "--name", "books-2") == 0
    assert published(Workspace(place / "root", "books")).overrides == {"cycles": 1}
    assert train(monkeypatch, place, source, *words, "--replace") == 0
    assert published(Workspace(place / "root", "books")).source == str(place / source)


def test_the_same_again_asks_nothing(place: Path, monkeypatch: Patch) -> None:
    assert train(monkeypatch, place, "books.csv", *ONE) == 0
    assert train(monkeypatch, place, "copy/books.csv", *ONE) == 2, "fakes have no hashes of raw files"
    (place / "books.csv").write_text("text,labels\na pear,fruit\n")
    assert train(monkeypatch, place, "books.csv", *ONE) == 0
    assert train(monkeypatch, place, "books.csv", *ONE, "--set", "clf.epochs=2") == 0, "what the file says already"


def test_a_run_with_a_name_is_measured_by_it(place: Path, monkeypatch: Patch, capsys: Capture) -> None:
    assert train(monkeypatch, place, "books.csv", *ONE, "--name", "mine") == 0
    assert train(monkeypatch, place, "books.csv") == 0
    capsys.readouterr()
    words = ("--root", str(place / "root"), "-m", "P@1")
    for more in (("--name", "mine"), ("--name", "mine", "--dataset", str(place / "books.csv"), *ONE)):
        assert main(monkeypatch, "evaluate", *words, *more) == 0
        assert capsys.readouterr() == ("P@1 33.25\n", "")
    assert main(monkeypatch, "evaluate", *words, "--name", "Mine!") == 2
    assert main(monkeypatch, "evaluate", *words, "--name", "yours") == 2
    assert "no complete training of yours" in capsys.readouterr().err


def test_runs_are_listed_with_what_differs_and_removed(place: Path, monkeypatch: Patch, capsys: Capture) -> None:
    root = ("--root", str(place / "root"))
    assert main(monkeypatch, "runs", *root) == 0
    assert "nothing has been trained" in capsys.readouterr().err
    assert train(monkeypatch, place, "books.csv", *ONE) == 0
    assert train(monkeypatch, place, "other/books.csv", "--name", "second") == 0
    shutil.rmtree(place / "root" / "snapshots" / "second")
    capsys.readouterr()
    assert main(monkeypatch, "runs", *root, "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["run"], first["source"], first["overrides"]) == ("books", str(place / "books.csv"), {"cycles": 1})
    assert (first["split"], first["figures"]) == ("test", {"P@1": 33.25, "PSP@5": 12.5})
    assert first["bytes"] > 0
    assert (second["run"], second["finished"]) == ("second", None)
    monkeypatch.setenv("COLUMNS", "150")
    assert main(monkeypatch, "runs", *root) == 0
    shown = capsys.readouterr().out
    assert "cycles=1" in shown
    assert "not complete" in shown
    assert main(monkeypatch, "runs", "rm", "books", "nope", *root) == 2
    assert "no run 'nope'" in capsys.readouterr().err
    assert (place / "root" / "snapshots" / "books").exists()
    assert main(monkeypatch, "runs", "rm", "books", *root) == 0
    assert not list((place / "root").rglob("books*"))
    assert main(monkeypatch, "runs", *root, "--json") == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out.rpartition("]")[0] + "]")] == ["second"]
