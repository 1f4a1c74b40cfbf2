"""Stage combine: fit the combination of scores, and its probabilities, on validation documents.

The model has not learnt from these documents yet; `finish` sees to that afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.config.sections import EvaluateConfig
from xmlcli.metrics import METRIC_NAMES, Metric, describe, evaluate_top_k
from xmlcli.prediction.calibration import calibrated
from xmlcli.prediction.combination import Combination, take_top_k
from xmlcli.prediction.fit import choose_beta, fit_logistic
from xmlcli.prediction.fit_unseen import fit_unseen
from xmlcli.prediction.scores import VOTES
from xmlcli.prediction.validation_weights import novelty_weights
from xmlcli.shortlists.recall import recall
from xmlcli.stages.engine import ModelArtifacts, load_engine
from xmlcli.stages.inputs import learnt_from, own_documents, validation_documents, without_validation
from xmlcli.stages.job import Job

VERSION = 3
SECTIONS = ("model", "shortlist", "evaluate")


def run(job: Job) -> None:
    """Write the artifact `combination`: how scores are combined, and metrics of the validation documents in percent."""
    config, prepared, ranks = job.config.evaluate, job.read("prepared"), job.ranks
    X, Y = validation_documents(prepared)
    artifacts = ModelArtifacts(prepared, job.read("clf"), job.read("labels"))
    assert learnt_from(artifacts.clf) == without_validation(prepared), "the model has not learnt from them"
    new = None
    if config.combination == "logistic":
        new = novelty_weights(X, own_documents(prepared, slice(0, learnt_from(artifacts.clf)), ranks)[0], ranks)
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
    combined, depth = combination.combine(scores, candidates, Y.shape[1]), max(config.ks)
    ranking = take_top_k(combined, candidates, depth, Y.shape[1])[0]
    with job.write() as out:
        out.json("combination.json", combination.to_json())
        report = {"shortlist_recall": round(recall(candidates, Y), 6)} | describe(Y, engine.scores.frequencies)
        out.json("report.json", report | {"metrics": _measured(config, ranking, Y, weights)})


def fit(
    scores: dict[str, Floats], candidates: Ints, Y: sp.csr_matrix, new: Floats | None, inverse_propensity: Floats,
    voters: int = 0,
) -> Combination:  # fmt: skip
    """Choose how scores are combined, on validation documents, each with the weight `new` where that is given.

    In the probabilities all documents count alike: they are those of a document drawn at random.
    voters: how many training documents have given votes.
    """
    if new is None:
        return choose_beta(scores, candidates, Y, inverse_propensity)
    combination = fit_logistic(scores, candidates, Y, new, costly=VOTES)
    voters = voters if combination.uses(VOTES) else 0
    curved = calibrated(combination, scores, candidates, Y, np.ones_like(new))
    return replace(curved, voters=voters)


def _measured(
    config: EvaluateConfig, ranking: Ints, Y: sp.csr_matrix, inverse_propensity: Floats
) -> dict[str, Any]:
    """Return the metrics of rankings int32 (n, k); none where there are no documents."""
    metrics = [Metric(name, k) for name in METRIC_NAMES for k in config.ks]
    return evaluate_top_k(ranking, Y, inverse_propensity, metrics) if Y.shape[0] else {}
