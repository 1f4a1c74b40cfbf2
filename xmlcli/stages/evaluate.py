"""Stage evaluate: fit the combination of scores on validation, then measure on validation and on test.

The only stage that reads test labels. Metrics are in percent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.artifacts import Artifact
from xmlcli.encoder import Encoder, encode, unit
from xmlcli.metrics import Metric, drop_filtered, evaluate_top_k
from xmlcli.model import label_frequencies
from xmlcli.neighbours import Index, make_index, recall, shortlist_size
from xmlcli.scoring import Combination, Predictor, choose_beta, fit_logistic, novel_documents, rank
from xmlcli.stages.inputs import label_vectors, predictor
from xmlcli.stages.job import PREDICT_NOTE, Job

VERSION = 2
SECTIONS = ("model", "shortlist", "evaluate")

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scorer:
    """Shortlists documents and scores their shortlists; `bonus` float32 (L,) is what the index adds to a cosine."""

    encoder: Encoder
    index: Index
    predictor: Predictor
    size: int
    bonus: Floats

    def __call__(self, X: sp.csr_matrix, job: Job) -> tuple[Ints, dict[str, Floats]]:
        """Return candidates int32 (N, k), padded with L, and name → score float32 (N, k)."""
        documents = encode(self.encoder, X)
        candidates, similarity = self.index.search(unit(documents), self.size, X=X, progress=job.progress)
        cosine = similarity - np.append(self.bonus, 0)[candidates]
        return candidates, self.predictor.scores(X, documents, candidates, cosine.astype(np.float32))


def run(job: Job) -> None:
    """Write the artifact `evaluation`: the combination, the test ranking, and the metrics of both splits."""
    config, prepared = job.config.evaluate, job.read("prepared")
    weights = prepared.array("inverse_propensity.npy")
    metrics = [Metric(name, k) for name in ("P", "nDCG", "PSP", "PSnDCG", "R") for k in config.ks]
    scorer = _scorer(job, prepared)
    Y = prepared.csr("Y_validation.npz")
    num_labels = Y.shape[1]
    candidates, scores = scorer(prepared.csr("X_validation.npz"), job)
    if config.combination == "logistic":
        novel = novel_documents(prepared.csr("X_validation.npz"), prepared.csr("X_train.npz"))
        chosen = {name: score[novel] for name, score in scores.items()}
        combination = fit_logistic(chosen, candidates[novel], Y[novel])
    else:
        combination = choose_beta(scores, candidates, Y, weights)
    ranking = rank(combination.combine(scores, candidates, num_labels), candidates, max(config.ks), num_labels)
    measured: dict[str, Any] = {"validation": evaluate_top_k(ranking, Y, weights, metrics) if Y.shape[0] else {}}
    top = _rank_test(job, prepared, scorer, combination)
    Y_test = prepared.csr("Y_test.npz")
    if Y_test.shape[0]:
        measured |= evaluate_top_k(top, Y_test, weights, metrics)
    if prepared.has("oracle_top.npy"):
        measured["oracle"] = evaluate_top_k(prepared.array("oracle_top.npy"), Y_test, weights, metrics)
    with job.write() as out:
        out.json("calibration.json", combination.to_json())
        out.array("test_top.npy", top)
        out.json("metrics.json", measured)
        out.json("report.json", {"shortlist_recall": round(recall(candidates, Y), 6)})


def _scorer(job: Job, prepared: Artifact) -> Scorer:
    config, labels, clf = job.config.shortlist, job.read("labels"), job.read("clf")
    encoder, classifiers = predictor(job)
    Y = prepared.csr("Y_train.npz")
    frequencies = label_frequencies(Y).numpy()
    return Scorer(
        encoder,
        make_index(label_vectors(labels), frequencies, config, device=job.device),
        Predictor(
            classifiers,
            frequencies,
            clf.csr("linear.npz") if clf.has("linear.npz") else None,
            prepared.csr("label_text_X.npz") if prepared.has("label_text_X.npz") else None,
        ),
        shortlist_size(Y.shape[0], Y.shape[1], config),
        (config.prior * np.log1p(frequencies)).astype(np.float32),
    )


def _rank_test(job: Job, prepared: Artifact, scorer: Scorer, combination: Combination) -> Ints:
    """Return the ranked labels of the test documents, int32 (N_test, k ≥ top_k), and note how long it took."""
    X, num_labels = prepared.csr("X_test.npz"), prepared.dims["L"]
    started = time.perf_counter()
    candidates, scores = scorer(X, job)
    combined = combination.combine(scores, candidates, num_labels)
    depth = max(job.config.evaluate.top_k, *job.config.evaluate.ks)
    top = rank(combined, candidates, depth, num_labels)
    if X.shape[0]:
        job.notes[PREDICT_NOTE] = round(1000 * (time.perf_counter() - started) / X.shape[0], 4)
    if prepared.has("test_filter.npy"):
        return drop_filtered(top, prepared.array("test_filter.npy"), num_labels).astype(np.int32)
    return top
