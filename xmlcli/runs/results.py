"""The results of a training: metrics of a cycle, and what training and prediction cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xmlcli.errors import UsageError
from xmlcli.prediction.reliability import expected_calibration_error
from xmlcli.runs.plan import ancestors, find_call
from xmlcli.runs.snapshot import Training
from xmlcli.stages.call import Call
from xmlcli.stages.job import PREDICT_NOTE
from xmlcli.storage import files
from xmlcli.storage.artifacts import Artifact


@dataclass(frozen=True)
class CycleSummary:
    """One row of the table at the end of training.

    `shortlist_recall` is a fraction, or None where it is not known. `validation` and `test` map the name of a metric to
    its value in percent. The figures of validation are those of the model of the cycle `fitted`, which has not learnt
    from these documents. `of` says what documents figures are of, see `metrics.describe`.
    """

    cycle: int
    fitted: int
    shortlist_recall: float | None
    validation: dict[str, float]
    test: dict[str, float]
    of: dict[str, dict[str, float]]


def read_test_metrics(training: Training, call: Call, wanted: Sequence[str]) -> dict[str, float]:
    """Return the `wanted` test metrics of an evaluation in percent, or all that it holds if none is wanted.

    A metric that the evaluation does not hold is computed from its stored ranking. Raises UsageError for an unknown
    metric, for a k beyond that ranking, and for any metric if there are no test documents.
    """
    held = _metrics(training, call)
    stored = {name: value for name, value in held.items() if not isinstance(value, dict)}
    if not wanted:
        return stored
    from xmlcli.metrics import parse_metrics

    asked = parse_metrics(wanted)
    missing = [metric for metric in asked if str(metric) not in stored]
    if missing and not stored:
        raise UsageError(
            "there are no test documents to measure",
            found="figures on validation documents, which xmlcli evaluate shows without --metric",
            remedy="add a test file to the dataset, train again",
        )
    if missing:
        from xmlcli.metrics import evaluate_top_k

        top = training.read(call.output).array("test_top.npy")
        if max(metric.k for metric in missing) > top.shape[1]:
            raise UsageError(
                "k is beyond the ranking that evaluation kept",
                expected=f"at most {top.shape[1]}",
                found=", ".join(map(str, missing)),
                remedy=f"raise evaluate.top_k: {call.command} --set evaluate.top_k={max(m.k for m in missing)}",
            )
        prepared = training.read(call.inputs["prepared"])
        weights = prepared.array("inverse_propensity.npy")
        stored |= evaluate_top_k(top, prepared.csr("Y_test.npz"), weights, missing)
    return {str(metric): stored[str(metric)] for metric in asked}


def model_bytes(of_model: Sequence[Artifact]) -> int:
    """Return the bytes of the files that prediction needs; `of_model`: prepared, clf, labels and combination."""
    voting = any("voters" in a.json("combination.json") for a in of_model if a.kind == "combination")
    return sum(artifact.inference_bytes(voting=voting) for artifact in of_model)


def describe(training: Training, call: Call) -> dict[str, Any]:
    """Return what an evaluation is of: the run, its dataset, profile, cycle and overrides, which split, how large."""
    of = read_of(training, call)
    split = "test" if "test" in of and of["test"]["documents"] else "validation"
    return {
        "run": call.run.name,
        "dataset": call.run.dataset_name,
        "source": training.source or None,
        "profile": call.run.profile or "default",
        "overrides": dict(training.overrides),
        "cycle": call.cycle,
        "split": split,
        "documents": of[split]["documents"],
        "of": of,
    }


def report(training: Training, call: Call, wanted: Sequence[str]) -> dict[str, Any]:
    """Return the object that `evaluate --json` prints for an evaluation.

    `train_seconds` is the sum over the calls that made the model, but prepare and evaluate. `model_bytes` counts the
    files that prediction needs. `peak_memory_bytes` is the largest of all calls. A cost that is not on record is
    null. `metrics` are those of test documents.
    """
    before = ancestors(training.plan, call)
    records = {c.name: _provenance(training, c) for c in [*before, call]}
    seconds: list[float | None] = [records[c.name].get("seconds") for c in before if c.stage != "prepare"]
    peaks = [p["peak_memory_bytes"] for p in records.values() if "peak_memory_bytes" in p]
    of_model = [training.read(ref) for ref in call.inputs.values()]
    about, validation = describe(training, call), read_validation_metrics(training, call)
    documents = about["of"]["validation"]["documents"]
    result = {
        **about,
        "metrics": read_test_metrics(training, call, wanted),
        "validation": {"documents": documents, "metrics": validation} if validation else None,
        "train_seconds": _total(seconds),
        PREDICT_NOTE: records[call.name].get("notes", {}).get(PREDICT_NOTE),
        "model_bytes": model_bytes(of_model),
        "peak_memory_bytes": max(peaks, default=None),
    }
    oracle = _metrics(training, call).get("oracle")
    return result if oracle is None else {**result, "oracle": oracle}


def summaries(training: Training) -> list[CycleSummary]:
    """Return a row for every evaluated cycle."""
    rows = []
    for call in training.plan:
        if call.stage != "evaluate" or call.cycle is None:
            continue
        report = training.report(find_call(training.plan, "shortlist", call.cycle).output)
        recall = report.get("recall") if isinstance(report, dict) else None
        metrics = _metrics(training, call)
        test = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
        fitted = call.cycle
        rows.append(CycleSummary(call.cycle, fitted, recall, metrics.get("validation", {}), test, metrics["of"]))
    return rows


def read_validation_metrics(training: Training, call: Call) -> dict[str, float]:
    """Return the metrics of an evaluation on validation documents; empty where there were none."""
    return dict(_metrics(training, call).get("validation", {}))


def read_of(training: Training, call: Call) -> dict[str, dict[str, float]]:
    """Return what documents the figures of an evaluation are of, by split; see `metrics.describe`."""
    return dict(_metrics(training, call)["of"])


def read_calibration(training: Training, call: Call) -> dict[str, Any]:
    """Return how well probabilities held on test documents: the bins, and the expected calibration error in percent.

    Raises UsageError where there are no test documents, or where the combination gives no probabilities.
    """
    table = training.read(call.output).json("report.json")["calibration"]
    if table is None:
        raise UsageError("there are no probabilities", found="evaluate.combination: authors", expected="logistic")
    if not table:
        raise UsageError("there are no test documents to measure", remedy="add a test file to the dataset, train again")
    error = 100 * expected_calibration_error(table)
    of = read_of(training, call)["test"]
    return {"calibration": table, "expected_calibration_error": round(error, 4), "of": {"test": of}}


def read_oracle_metrics(training: Training, call: Call) -> dict[str, float]:
    """Return what the planted oracle scores in an evaluation; empty for all datasets but `demo`."""
    return dict(_metrics(training, call).get("oracle", {}))


def _metrics(training: Training, call: Call) -> dict[str, Any]:
    return dict(training.read(call.output).json("metrics.json"))


def _provenance(training: Training, call: Call) -> dict[str, Any]:
    record = files.read_json(training.workspace.record(call.name))
    return dict(record.get("provenance", {})) if isinstance(record, dict) else {}


def _total(seconds: list[float | None]) -> float | None:
    """Return the sum, or None if a part is not known."""
    known = [s for s in seconds if s is not None]
    return round(sum(known), 3) if len(known) == len(seconds) else None
