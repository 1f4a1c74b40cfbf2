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
from xmlcli.classifiers.tensor_names import has_label_rows
from xmlcli.config.sections import EvaluateConfig
from xmlcli.label_embeddings.word_centroids import without_smallest
from xmlcli.metrics import METRIC_NAMES, Metric, drop_filtered, evaluate_top_k
from xmlcli.prediction.calibration import calibrated
from xmlcli.prediction.engine import DocumentEncoder, Engine
from xmlcli.prediction.fit import choose_beta, fit_logistic
from xmlcli.prediction.scores import VOTES, Combination, Scores, rank
from xmlcli.prediction.sharded_scores import ShardedScores
from xmlcli.prediction.validation_weights import novelty
from xmlcli.prediction.votes import Voters, make_voters
from xmlcli.shortlists.make_index import make_index, recall
from xmlcli.stages.inputs import all_rows, frequencies_of, label_text, label_vectors, own_documents
from xmlcli.stages.job import PREDICT_NOTE, Job
from xmlcli.storage.artifacts import Artifact

VERSION = 13
SECTIONS = ("model", "shortlist", "evaluate")



def run(job: Job) -> None:
    """Write the artifact `evaluation`: the combination, the test ranking, and the metrics of both splits."""
    config, prepared, ranks = job.config.evaluate, job.read("prepared"), job.ranks
    X, Y, new = prepared.csr("X_validation.npz"), prepared.csr("Y_validation.npz"), None
    if config.combination == "logistic":
        new = novelty(X, prepared.csr_rows("X_train.npz", ranks.share(prepared.dims["N"])), ranks)
    engine = load_engine(job, prepared)
    candidates, scores = engine.score(X[ranks.share(X.shape[0])], progress=job.progress)
    candidates = ranks.all_gather_rows(candidates)
    scores = {name: ranks.all_gather_rows(score) for name, score in scores.items()}
    weights = prepared.array("inverse_propensity.npy", mmap=ranks.size > 1)
    voters = 0 if engine.voters is None else engine.voters.count
    combination = ranks.broadcast(lambda: fit(scores, candidates, Y, new, weights, voters))
    depth = max(config.ks)
    ranking = rank(combination.combine(scores, candidates, Y.shape[1]), candidates, depth, Y.shape[1])[0]
    engine = replace(engine, combination=combination, voters=engine.voters if combination.voters else None)
    top = _rank_test(job, prepared, engine)
    found = ranks.all_gather_rows(np.ascontiguousarray(top[:, :depth]))
    with job.write() as out:
        out.json("calibration.json", combination.to_json())
        out.rows("test_top.npy", top)
        out.json("metrics.json", ranks.broadcast(lambda: measure(config, prepared, ranking, found, weights)))
        out.json("report.json", {"shortlist_recall": round(recall(candidates, Y), 6)})


def fit(
    scores: dict[str, Floats],
    candidates: Ints,
    Y: sp.csr_matrix,
    new: Floats | None,
    inverse_propensity: Floats,
    voters: int = 0,
) -> Combination:
    """Choose how scores are combined, on validation documents; where their novelty is given, by what is new.

    voters: how many training documents have given votes.
    """
    if new is None:
        return choose_beta(scores, candidates, Y, inverse_propensity)
    found = fit_logistic(scores, candidates, Y, new, costly=VOTES)
    return replace(calibrated(found, scores, candidates, Y, new), voters=voters if found.uses(VOTES) else 0)


def measure(
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


def load_engine(job: Job, prepared: Artifact, combination: Combination | None = None) -> Engine:
    """Put the model together from its artifacts; of several ranks each loads its labels.

    Without a combination there are voters wherever they may be used, to find out whether they pay.
    """
    config, labels, clf, ranks = job.config.shortlist, job.read("labels"), job.read("clf"), job.ranks
    N, L = prepared.dims["N"], prepared.dims["L"]
    share, name = ranks.share(L), "model.safetensors"
    tensors = clf.numpy_tensors(name) if ranks.size == 1 else clf.tensor_rows(name, share, has_label_rows, "numpy")
    encoder = DocumentEncoder.of(tensors, job.config.model.activation)
    count = _most_voters(job) if combination is None else combination.voters
    voters = _load_voters(job, prepared, encoder, count) if count else None  # first: making them takes most memory
    frequencies = frequencies_of(prepared.csr_rows("Y_train.npz", ranks.share(N)), ranks)
    vectors = label_vectors(prepared, labels, config, ranks)
    scores = Scores(
        tensors["classifiers.weight"],
        tensors["classifiers.bias"][:, 0],
        vectors.Z,
        frequencies[share],
        clf.csr_rows("linear.npz", share) if clf.has("linear.npz") else None,
        label_text(prepared, ranks),
    )
    job.note_label_rows(len(scores.weight))
    return Engine(
        encoder,
        make_index(vectors, frequencies[share], config, in_order=False, device=job.device, ranks=ranks),
        scores if ranks.size == 1 else ShardedScores(scores, frequencies, ranks),
        min(config.size, L),
        combination,
        voters,
        ranks,
    )


def _most_voters(job: Job) -> int:
    """Return how many documents vote where that pays."""
    config = job.config
    can_vote = config.evaluate.combination == "logistic" and config.shortlist.backend == "words"
    return (config.evaluate.voters or 0) if can_vote else 0


def _load_voters(job: Job, prepared: Artifact, encoder: DocumentEncoder, count: int) -> Voters:
    """Let the training documents vote; of several ranks each has those it owns, and reads others' labels as needed."""
    words, Y = own_documents(prepared, "train", job.ranks)
    words = without_smallest(words)  # the larger ones are let go
    labels = all_rows(prepared, "Y_train.npz", Y, job.ranks)
    return make_voters(words, encoder.unit, labels, job.config.shortlist, count, job.ranks)


def _rank_test(job: Job, prepared: Artifact, engine: Engine) -> Ints:
    """Return the ranked labels of the test documents, int32 (N_test, k ≥ top_k), and note how long it took.

    Of several ranks each returns those of the documents it owns.
    """
    share, num_labels = job.ranks.share(prepared.rows("X_test.npz")), prepared.dims["L"]
    X = prepared.csr_rows("X_test.npz", share)
    started = time.perf_counter()
    top, _ = engine.rank(X, max(job.config.evaluate.top_k, *job.config.evaluate.ks), progress=job.progress)
    if X.shape[0]:
        job.notes[PREDICT_NOTE] = round(1000 * (time.perf_counter() - started) / X.shape[0], 4)
    if prepared.has("test_filter.npy"):
        pairs = prepared.array("test_filter.npy")
        pairs = pairs[(pairs[:, 0] >= share.start) & (pairs[:, 0] < share.stop)] - [[share.start, 0]]
        return drop_filtered(top, pairs, num_labels).astype(np.int32)
    return top
