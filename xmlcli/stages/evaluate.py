"""Stage evaluate: fit the combination of scores on validation, then measure on validation and on test.

The only stage that reads test labels. Metrics are in percent.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xmlcli.artifacts import Artifact
from xmlcli.calibration import calibrated
from xmlcli.inference import DocumentEncoder, Engine
from xmlcli.metrics import Metric, drop_filtered, evaluate_top_k
from xmlcli.neighbours import LabelVectors, make_index, recall
from xmlcli.scoring import Scores, choose_beta, fit_logistic, novel_documents, rank
from xmlcli.stages.job import PREDICT_NOTE, Job
from xmlcli.word_index import label_frequencies

VERSION = 5
SECTIONS = ("model", "shortlist", "evaluate")

Ints = npt.NDArray[np.int32]


def run(job: Job) -> None:
    """Write the artifact `evaluation`: the combination, the test ranking, and the metrics of both splits."""
    config, prepared = job.config.evaluate, job.read("prepared")
    weights = prepared.array("inverse_propensity.npy")
    metrics = [Metric(name, k) for name in ("P", "nDCG", "PSP", "PSnDCG", "R") for k in config.ks]
    engine = load_engine(job, prepared)
    X, Y = prepared.csr("X_validation.npz"), prepared.csr("Y_validation.npz")
    num_labels = Y.shape[1]
    candidates, scores = engine.score(X, progress=job.progress)
    if config.combination == "logistic":
        novel = novel_documents(X, prepared.csr("X_train.npz"))
        chosen = {name: score[novel] for name, score in scores.items()}
        combination = calibrated(fit_logistic(chosen, candidates[novel], Y[novel]), chosen, candidates[novel], Y[novel])
    else:
        combination = choose_beta(scores, candidates, Y, weights)
    engine = replace(engine, combination=combination)
    ranking, _ = rank(combination.combine(scores, candidates, num_labels), candidates, max(config.ks), num_labels)
    measured: dict[str, Any] = {"validation": evaluate_top_k(ranking, Y, weights, metrics) if Y.shape[0] else {}}
    top = _rank_test(job, prepared, engine)
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


def load_engine(job: Job, prepared: Artifact) -> Engine:
    """Put the model together from its artifacts; the combination is not among them."""
    config, labels, clf = job.config.shortlist, job.read("labels"), job.read("clf")
    tensors = clf.numpy_tensors("model.safetensors")
    Y = prepared.csr("Y_train.npz")
    frequencies = label_frequencies(Y)
    words = prepared.csr("label_words.npz") if config.backend == "words" else None
    vectors = LabelVectors(labels.array("Z.npy"), labels.array("bonus.npy"), words)
    return Engine(
        DocumentEncoder.of(tensors, job.config.model.activation),
        make_index(vectors, frequencies, config, device=job.device),
        Scores(
            tensors["classifiers.weight"],
            tensors["classifiers.bias"][:, 0],
            vectors.Z,
            frequencies,
            words,
            clf.csr("linear.npz") if clf.has("linear.npz") else None,
            prepared.csr("label_text_X.npz") if prepared.has("label_text_X.npz") else None,
        ),
        min(config.size, Y.shape[1]),
    )


def _rank_test(job: Job, prepared: Artifact, engine: Engine) -> Ints:
    """Return the ranked labels of the test documents, int32 (N_test, k ≥ top_k), and note how long it took."""
    X, num_labels = prepared.csr("X_test.npz"), prepared.dims["L"]
    started = time.perf_counter()
    top, _ = engine.rank(X, max(job.config.evaluate.top_k, *job.config.evaluate.ks), progress=job.progress)
    if X.shape[0]:
        job.notes[PREDICT_NOTE] = round(1000 * (time.perf_counter() - started) / X.shape[0], 4)
    if prepared.has("test_filter.npy"):
        return drop_filtered(top, prepared.array("test_filter.npy"), num_labels).astype(np.int32)
    return top
