"""Stage evaluate: fit the combination of scores on validation, then measure on validation and on test.

The only stage that reads test labels. Metrics are in percent.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.config.sections import EvaluateConfig
from xmlcli.metrics import METRIC_NAMES, Metric, drop_filtered, evaluate_top_k
from xmlcli.prediction.calibration import calibrated
from xmlcli.prediction.combination import Combination, take_top_k
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.fit import choose_beta, fit_logistic
from xmlcli.prediction.fit_unseen import fit_unseen
from xmlcli.prediction.scores import VOTES
from xmlcli.prediction.validation_weights import novelty_weights
from xmlcli.shortlists.recall import recall
from xmlcli.stages.engine import ModelArtifacts, load_engine
from xmlcli.stages.job import PREDICT_NOTE, Job
from xmlcli.storage.artifacts import Artifact

VERSION = 14
SECTIONS = ("model", "shortlist", "evaluate")


def run(job: Job) -> None:
    """Write the artifact `evaluation`: the combination, the test ranking, and the metrics of both splits."""
    config, prepared, ranks = job.config.evaluate, job.read("prepared"), job.ranks
    X, Y, new = prepared.csr("X_validation.npz"), prepared.csr("Y_validation.npz"), None
    if config.combination == "logistic":
        new = novelty_weights(X, prepared.csr_rows("X_train.npz", ranks.share(prepared.dims["N"])), ranks)
    artifacts = ModelArtifacts(prepared, job.read("clf"), job.read("labels"))
    engine = load_engine(artifacts, job.config, ranks=ranks, device=job.device)
    share = ranks.share(prepared.dims["L"])
    job.note_label_rows(share.stop - share.start)
    candidates, scores = engine.score(X[ranks.share(X.shape[0])], progress=job.progress)
    candidates = ranks.all_gather_rows(candidates)
    scores = {name: ranks.all_gather_rows(score) for name, score in scores.items()}
    weights = prepared.array("inverse_propensity.npy", mmap=ranks.size > 1)
    voters = 0 if engine.voters is None else engine.voters.count
    combination = ranks.broadcast(lambda: fit(scores, candidates, Y, new, weights, voters))
    if new is not None:
        combination = replace(combination, unseen=fit_unseen(engine, X, Y, new, job.config.shortlist))
    depth = max(config.ks)
    ranking = take_top_k(combination.combine(scores, candidates, Y.shape[1]), candidates, depth, Y.shape[1])[0]
    engine = replace(engine, combination=combination, voters=engine.voters if combination.voters else None)
    engine = engine.with_unseen(job.config.shortlist)
    top = _rank_test(job, prepared, engine)
    test_ranking = ranks.all_gather_rows(np.ascontiguousarray(top[:, :depth]))
    with job.write() as out:
        out.json("calibration.json", combination.to_json())
        out.rows("test_top.npy", top)
        metrics = ranks.broadcast(lambda: measure_rankings(config, prepared, ranking, test_ranking, weights))
        out.json("metrics.json", metrics)
        out.json("report.json", {"shortlist_recall": round(recall(candidates, Y), 6)})


def fit(
    scores: dict[str, Floats], candidates: Ints, Y: sp.csr_matrix, new: Floats | None, inverse_propensity: Floats,
    voters: int = 0,
) -> Combination:  # fmt: skip
    """Choose how scores are combined, on validation documents, each with the weight `new` where that is given.

    voters: how many training documents have given votes.
    """
    if new is None:
        return choose_beta(scores, candidates, Y, inverse_propensity)
    combination = fit_logistic(scores, candidates, Y, new, costly=VOTES)
    voters = voters if combination.uses(VOTES) else 0
    return replace(calibrated(combination, scores, candidates, Y, new), voters=voters)


def measure_rankings(
    config: EvaluateConfig, prepared: Artifact, validation: Ints, test: Ints, inverse_propensity: Floats
) -> dict[str, Any]:
    """Return the metrics of rankings int32 (n, k) of the validation and the test documents, and the best possible."""
    metrics = [Metric(name, k) for name in METRIC_NAMES for k in config.ks]
    Y, Y_test = prepared.csr("Y_validation.npz"), prepared.csr("Y_test.npz")
    measured: dict[str, Any] = {
        "validation": evaluate_top_k(validation, Y, inverse_propensity, metrics) if Y.shape[0] else {}
    }
    if Y_test.shape[0]:
        measured |= evaluate_top_k(test, Y_test, inverse_propensity, metrics)
    if prepared.has("oracle_top.npy"):
        measured["oracle"] = evaluate_top_k(prepared.array("oracle_top.npy"), Y_test, inverse_propensity, metrics)
    return measured


def _rank_test(job: Job, prepared: Artifact, engine: Engine) -> Ints:
    """Return the ranked labels of the test documents, int32 (N_test, k ≥ top_k), and note how long it took.

    Of several ranks each returns those of the documents it owns.
    """
    share, num_labels = job.ranks.share(prepared.rows("X_test.npz")), prepared.dims["L"]
    X = prepared.csr_rows("X_test.npz", share)
    started = time.perf_counter()
    top, _ = engine.top_k(X, max(job.config.evaluate.top_k, *job.config.evaluate.ks), progress=job.progress)
    if X.shape[0]:
        job.notes[PREDICT_NOTE] = round(1000 * (time.perf_counter() - started) / X.shape[0], 4)
    if prepared.has("test_filter.npy"):
        pairs = prepared.array("test_filter.npy")
        pairs = pairs[(pairs[:, 0] >= share.start) & (pairs[:, 0] < share.stop)] - [[share.start, 0]]
        return drop_filtered(top, pairs, num_labels).astype(np.int32)
    return top
