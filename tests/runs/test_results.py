"""What is reported of a run: metrics stored or computed, costs, the last run."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_stages import make_config, make_session

from xmlcli.errors import UsageError
from xmlcli.runs import results, runner
from xmlcli.runs.plan import find_call, plan
from xmlcli.runs.snapshot import Training, published
from xmlcli.stages.call import Call, RunId
from xmlcli.storage import files

CONFIG = make_config(cycles=2)
PLAN = plan(CONFIG, RunId("demo"))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    session = make_session(tmp_path_factory.mktemp("run"), CONFIG)
    runner.run(session, PLAN, PLAN)
    return published(session.workspace)


@pytest.fixture
def call() -> Call:
    return find_call(PLAN, "evaluate", 2)


def test_stored_metrics_are_read_in_any_case(training: Training, call: Call) -> None:
    assert results.read_test_metrics(training, call, ["psp@5", "p@1"]) == {"PSP@5": 12.5, "P@1": 33.25}
    assert results.read_test_metrics(training, call, []) == {"P@1": 33.25, "PSP@5": 12.5, "P@5": 20.0}


def test_other_metrics_are_computed_from_the_stored_ranking(training: Training, call: Call) -> None:
    # documents 0, 1, 2 have the label of their own number; each ranking is 0, 1, 2
    found = results.read_test_metrics(training, call, ["P@3", "R@2"])
    assert found == pytest.approx({"P@3": 100 / 3, "R@2": 200 / 3})


def test_a_k_beyond_the_stored_ranking_says_how_to_get_it(training: Training, call: Call) -> None:
    with pytest.raises(UsageError, match=r"at most 3(.|\n)*evaluate\.top_k=7"):
        results.read_test_metrics(training, call, ["P@7"])


def test_costs_are_the_largest_peak_and_the_seconds_of_all_but_prepare_and_evaluate(
    training: Training, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"prepare": 100.0, "evaluate-2": 1000.0}
    peaks = {"shortlist-1": 9}
    monkeypatch.setattr(
        results, "_provenance",
        lambda _, c: {"seconds": seconds.get(c.name, 1.0), "peak_memory_bytes": peaks.get(c.name, 3)},
    )  # fmt: skip
    report = results.report(training, call, [])
    assert report["train_seconds"] == 11.0  # init-clf, three calls a cycle, combine, finish, a refresh before and after
    assert report["peak_memory_bytes"] == 9
    monkeypatch.setattr(results, "_provenance", lambda _, c: {} if c.name == "shortlist-1" else {"seconds": 1.0})
    report = results.report(training, call, [])
    assert (report["train_seconds"], report["peak_memory_bytes"]) == (None, None)


def test_the_report_holds_what_the_issue_names(training: Training, call: Call) -> None:
    report = results.report(training, call, [])
    assert set(report) == {
        "run",
        "dataset",
        "source",
        "profile",
        "overrides",
        "cycle",
        "split",
        "documents",
        "metrics",
        "of",
        "validation",
        "train_seconds",
        "predict_ms_per_document",
        "model_bytes",
        "peak_memory_bytes",
        "oracle",
    }
    assert (report["dataset"], report["cycle"], report["predict_ms_per_document"]) == ("demo", 2, 0.25)
    assert report["oracle"] == {"P@1": 90.0}
    assert report["of"]["test"] == {"documents": 3, "labels": 3, "unseen_labels": 0.25}
    folder = training.workspace.root / "artifacts" / "demo"
    needed = (
        "prepared/label_text_X.npz",
        "prepared/label_words.npz",
        "cycle3/clf/model.safetensors",
        "cycle4/labels/Z.npy",
        "cycle4/labels/bonus.npy",
        "cycle2/combination/combination.json",
    )
    assert report["model_bytes"] == sum((folder / name).stat().st_size for name in needed)


def test_training_time_counts_what_the_model_follows_from_and_nothing_else(training: Training, call: Call) -> None:
    def seconds(name: str) -> float:
        return float(files.read_json(training.workspace.record(name))["provenance"]["seconds"])

    first = ("init-clf", "embed-labels-1", "shortlist-1", "train-clf-1", "embed-labels-2", "combine-1")
    report = results.report(training, find_call(PLAN, "evaluate", 1), [])
    assert report["train_seconds"] == pytest.approx(sum(map(seconds, first)), abs=1e-3)
    last = ("embed-labels-3", "combine-2", "finish-2", "embed-labels-4")
    second = (*first[:-1], "shortlist-2", "train-clf-2", *last)
    both = results.report(training, call, [])
    assert both["train_seconds"] == pytest.approx(sum(map(seconds, second)), abs=1e-3)


def test_a_cost_that_is_not_on_record_is_null(tmp_path: Path, call: Call) -> None:
    session = make_session(tmp_path, CONFIG)
    runner.run(session, PLAN, PLAN)
    training = published(session.workspace)
    training.workspace.record("train-clf-1").unlink()
    assert results.report(training, call, [])["train_seconds"] is None


def test_there_is_a_summary_row_for_every_cycle(training: Training) -> None:
    rows = results.summaries(training)
    assert [(row.cycle, row.shortlist_recall) for row in rows] == [(1, 0.75), (2, 0.75)]
    assert rows[0].validation["P@5"] == rows[0].test["P@5"] == 20.0
