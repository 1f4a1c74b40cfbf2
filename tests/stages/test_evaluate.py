"""The command evaluate on a finished run of the real stages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from support.command_line import main
from support.fake_stages import make_config
from support.tiny_dataset import finished_root

from xmlcli.distributed.ranks import ALONE
from xmlcli.progress import silent
from xmlcli.stages import evaluate
from xmlcli.storage.workspace import Ref, Workspace


@pytest.fixture(scope="module")
def root() -> Path:
    """A root with a finished run by the default profile in it."""
    return finished_root("default")


@pytest.fixture
def evaluated(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs `xmlcli evaluate` on the finished default run and returns what it prints."""

    def evaluate(*words: str) -> str:
        assert main(monkeypatch, "evaluate", "--root", str(root), *words) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        return shown.out

    return evaluate


def test_evaluate_prints_one_json_object_with_metrics_and_costs(evaluated: Callable[..., str]) -> None:
    found = json.loads(evaluated("--json"))
    assert found.keys() == {
        "run", "dataset", "source", "profile", "overrides", "cycle", "split", "documents", "metrics", "of",
        "validation", "train_seconds", "predict_ms_per_document", "model_bytes", "peak_memory_bytes",
    }  # fmt: skip
    assert {split: about["documents"] for split, about in found["of"].items()} == {"validation": 40, "test": 60}
    assert (found["dataset"], found["cycle"]) == ("tiny", 2)
    names = {f"{name}@{k}" for name in ("P", "nDCG", "PSP", "PSnDCG", "R") for k in (1, 3, 5)}
    assert found["metrics"].keys() == names
    assert all(found[cost] > 0 for cost in ("train_seconds", "predict_ms_per_document", "model_bytes"))


def test_evaluate_computes_a_metric_that_was_not_measured_from_the_ranking(
    evaluated: Callable[..., str], root: Path
) -> None:
    workspace = Workspace(root, "tiny")
    top = np.load(workspace.artifact(Ref("evaluation", 2)) / "test_top.npy")
    truth = sp.load_npz(workspace.artifact(Ref("prepared")) / "Y_test.npz").toarray()
    hits = np.mean([truth[i, label] for i, row in enumerate(top[:, :2]) for label in row])
    assert evaluated("--metric", "P@2") == f"P@2 {100 * hits:.2f}\n"


def test_filtered_pairs_are_not_in_the_test_ranking() -> None:
    top = np.array([[3, 1, 0], [2, 0, 4], [1, 2, 3]], np.int32)  # of 5 labels
    pairs = np.array([[0, 1], [2, 2], [1, 3], [2, 3]], np.int32)
    Y = sp.csr_matrix(np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]], np.float32))
    prepared = SimpleNamespace(
        dims={"L": 5}, rows=lambda _: 3, has=lambda name: name == "test_filter.npy", array=lambda _: pairs,
        csr_rows=lambda name, _: {"X_test.npz": sp.csr_matrix((3, 4), dtype=np.float32), "Y_test.npz": Y}[name],
    )  # fmt: skip
    job = SimpleNamespace(ranks=ALONE, config=make_config(), progress=silent, notes={})
    scores = np.zeros((3, 3), np.float32)
    combination = SimpleNamespace(curve=())
    engine = SimpleNamespace(top_k=lambda X, k, progress: (top.copy(), scores), combination=combination)
    found, bins = evaluate._rank_test(job, prepared, engine)  # type: ignore[arg-type]
    assert found.dtype == np.int32
    assert found.tolist() == [[3, 0, 5], [2, 0, 4], [1, 5, 5]]
    assert bins.sum(axis=0).tolist() == [6, 3, 2], "labels, the sum of probabilities of a half, right ones"


def test_evaluate_says_of_what_its_figures_are(evaluated: Callable[..., str]) -> None:
    first = " ".join(evaluated().split("┏")[0].split())
    assert "60 test documents; no training document has 0.00 % of their" in first


def test_evaluate_shows_how_well_probabilities_hold(evaluated: Callable[..., str], root: Path) -> None:
    found = json.loads(evaluated("--calibration", "--json"))
    table = found["calibration"]
    assert sum(row["labels"] for row in table) == 60 * 10  # the ranking is cut at 10
    prepared = Workspace(root, "tiny").artifact(Ref("prepared"))
    truth = sp.load_npz(prepared / "Y_test.npz")
    assert sum(row["labels"] * row["observed"] for row in table) <= truth.nnz + 0.01  # shares are rounded
    error = sum(row["labels"] * abs(row["predicted"] - row["observed"]) for row in table) / (60 * 10)
    assert found["expected_calibration_error"] == pytest.approx(100 * error, abs=1e-3)
    shown = evaluated("--calibration")
    assert f"{table[0]['labels']:,}" in shown
    assert f"expected calibration error {found['expected_calibration_error']:.2f} points" in shown


def test_probabilities_of_the_authors_are_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", "--root", str(finished_root("authors")), "--calibration")
    assert main(monkeypatch, *words) == 2
    assert "there are no probabilities" in capsys.readouterr().err


def test_figures_and_calibration_are_asked_for_apart(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "evaluate", "--root", str(root), "--calibration", "--metric", "P@1") == 2
    assert "beside --calibration" in capsys.readouterr().err
