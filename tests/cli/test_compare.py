"""`xmlcli compare`: runs and files beside each other, and what is refused."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from support import small_model
from support.command_line import main

from xmlcli.runs.rankings import read_ranking
from xmlcli.runs.snapshot import published
from xmlcli.storage.workspace import Workspace

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the small trained run, and a file with its ranking as another system would write it."""
    shutil.copytree(small_model.run(), tmp_path / "root")
    system, truth = read_ranking(published(Workspace(tmp_path / "root", "subjects")))
    scores = sp.lil_matrix(truth.Y.shape)
    for row, labels in enumerate(system.top):
        for place, label in enumerate(labels[labels < truth.Y.shape[1]]):
            scores[row, label] = len(labels) - place
    sp.save_npz(tmp_path / "same.npz", scores.tocsr())
    sp.save_npz(tmp_path / "worse.npz", (scores != 0).multiply(np.arange(truth.Y.shape[1])[None] + 1.0).tocsr())
    return tmp_path / "root"


def test_the_ranking_of_a_run_in_a_file_differs_by_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    same = str(root.parent / "same.npz")
    assert main(monkeypatch, "compare", "subjects", same, "--root", str(root), "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["metric"] for row in rows] == ["P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5"]
    assert {(row["difference"], row["95 % interval"], row["p"]) for row in rows} == {
        ("+0.00", "+0.00 to +0.00", "1.0000")
    }


def test_all_tables_are_shown_and_figures_are_those_of_evaluate(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    words = ["compare", "subjects", str(root.parent / "worse.npz"), "--root", str(root), "-m", "psp@3", "--markdown"]
    assert main(monkeypatch, *words) == 0
    out = capsys.readouterr().out
    assert main(monkeypatch, "evaluate", "--root", str(root), "-m", "psp@3") == 0
    figure = capsys.readouterr().out.split()[1]
    assert f"| PSP@3 | {figure} |" in out
    for title in ("worse.npz beside subjects", "by their number of training documents", "documents that changed most"):
        assert title in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["subjects"], "one system is no comparison"),
        (["subjects", "nope"], "no complete training of nope"),
        (["subjects", "SAME", "--csv", "--latex"], "--latex and --csv"),
        (["SAME", "SAME"], "the dataset of these predictions is not known"),
        (["subjects", "OTHER"], "not of the test documents and labels of the dataset"),
        (["subjects", "SAME", "--truth", "demo"], "were not measured on the same test documents"),
        (["subjects", "SAME", "-m", "p@2000"], "kept"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    words: list[str], told: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    sp.save_npz(root.parent / "other.npz", sp.csr_matrix((3, 4)))
    paths = {"SAME": str(root.parent / "same.npz"), "OTHER": str(root.parent / "other.npz")}
    assert main(monkeypatch, "compare", *(paths.get(word, word) for word in words), "--root", str(root)) == 2
    assert told in capsys.readouterr().err
