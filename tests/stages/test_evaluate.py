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
        "dataset", "cycle", "metrics", "train_seconds", "predict_ms_per_document", "model_bytes", "peak_memory_bytes",
    }  # fmt: skip
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
    prepared = SimpleNamespace(
        dims={"L": 5}, rows=lambda _: 3, has=lambda name: name == "test_filter.npy", array=lambda _: pairs,
        csr_rows=lambda *_: sp.csr_matrix((3, 4), dtype=np.float32),
    )  # fmt: skip
    job = SimpleNamespace(ranks=ALONE, config=make_config(), progress=silent, notes={})
    engine = SimpleNamespace(top_k=lambda X, k, progress: (top.copy(), None))
    found = evaluate._rank_test(job, prepared, engine)  # type: ignore[arg-type]
    assert found.dtype == np.int32
    assert found.tolist() == [[3, 0, 5], [2, 0, 4], [1, 5, 5]]
