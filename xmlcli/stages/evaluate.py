"""Stage evaluate: rank the test documents and measure, by the combination that the stage combine has fitted.

The only stage that reads test labels. Metrics are in percent.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Doubles, Floats, Ints
from xmlcli.config.sections import EvaluateConfig
from xmlcli.metrics import METRIC_NAMES, Metric, describe, drop_filtered, evaluate_top_k, hit_matrix
from xmlcli.prediction.combination import Combination, log_odds
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.reliability import count_bins, reliability_table
from xmlcli.stages.engine import ModelArtifacts, load_engine
from xmlcli.stages.job import PREDICT_NOTE, Job
from xmlcli.storage.artifacts import Artifact

VERSION = 14
SECTIONS = ("model", "shortlist", "evaluate")


def run(job: Job) -> None:
    """Write the artifact `evaluation`: the test ranking, the metrics of both splits, how well probabilities hold."""
    config, prepared, ranks = job.config.evaluate, job.read("prepared"), job.ranks
    artifacts, fitted = ModelArtifacts(prepared, job.read("clf"), job.read("labels")), job.read("combination")
    combination = Combination.from_json(fitted.json("combination.json"))
    engine = load_engine(artifacts, job.config, combination, ranks, job.device)
    share = ranks.share(prepared.dims["L"])
    job.note_label_rows(share.stop - share.start)
    top, bins = _rank_test(job, prepared, engine)
    ranking = ranks.all_gather_rows(np.ascontiguousarray(top[:, : max(config.ks)]))
    with job.write() as out:
        out.rows("test_top.npy", top)
        validation = fitted.json("report.json")
        metrics = ranks.broadcast(lambda: measured(config, prepared, ranking, engine.scores.frequencies, validation))
        out.json("metrics.json", metrics)
        out.json("report.json", {"calibration": reliability_table(bins) if combination.kind == "logistic" else None})


def measured(
    config: EvaluateConfig, prepared: Artifact, ranking: Ints, frequencies: Floats, validation: dict[str, Any]
) -> dict[str, Any]:
    """Return the metrics of test rankings int32 (n, k), of validation as its report has them, and the best possible.

    frequencies: float32 (L,), training documents of each label. `of` says what documents the figures are of.
    """
    metrics = [Metric(name, k) for name in METRIC_NAMES for k in config.ks]
    weights, Y = prepared.array("inverse_propensity.npy"), prepared.csr("Y_test.npz")
    about = {"validation": {key: value for key, value in validation.items() if key != "metrics"}}
    found: dict[str, Any] = {"validation": validation["metrics"], "of": about}
    if Y.shape[0]:
        about["test"] = describe(Y, frequencies)
        found |= evaluate_top_k(ranking, Y, weights, metrics)
    if prepared.has("oracle_top.npy"):
        found["oracle"] = evaluate_top_k(prepared.array("oracle_top.npy"), Y, weights, metrics)
    return found


def _rank_test(job: Job, prepared: Artifact, engine: Engine) -> tuple[Ints, Doubles]:
    """Return the ranked labels of the test documents, int32 (N_test, k ≥ top_k), and the sums of `count_bins`.

    How long ranking took is noted. Of several ranks each returns the labels of the documents it owns, and the sums of
    all.
    """
    share, num_labels = job.ranks.share(prepared.rows("X_test.npz")), prepared.dims["L"]
    X, Y = prepared.csr_rows("X_test.npz", share), prepared.csr_rows("Y_test.npz", share)
    assert engine.combination is not None
    started = time.perf_counter()
    top, scores = engine.top_k(X, max(job.config.evaluate.top_k, *job.config.evaluate.ks), progress=job.progress)
    if X.shape[0]:
        job.notes[PREDICT_NOTE] = round(1000 * (time.perf_counter() - started) / X.shape[0], 4)
    counted, right = top < num_labels, hit_matrix(top, Y)
    if prepared.has("test_filter.npy"):
        pairs = prepared.array("test_filter.npy")
        pairs = pairs[(pairs[:, 0] >= share.start) & (pairs[:, 0] < share.stop)] - [[share.start, 0]]
        counted &= ~hit_matrix(top, sp.csr_matrix((np.ones(len(pairs), np.float32), pairs.T), shape=Y.shape))
        top = drop_filtered(top, pairs, num_labels).astype(np.int32)
    bins = count_bins(log_odds(scores[counted], engine.combination.curve), right[counted])
    return top, job.ranks.all_reduce_sum(bins)
