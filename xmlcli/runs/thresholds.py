"""Measure the labels that a trained run gives at a threshold of probability, on test documents."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.errors import UsageError
from xmlcli.metrics import drop_filtered, f1_scores
from xmlcli.runs.snapshot import Training
from xmlcli.runs.trained_run import TrainedRun
from xmlcli.stages.call import Call

_BLOCK = 4096


def measure_at(training: Training, call: Call, threshold: float) -> dict[str, float]:
    """Return F1, precision and recall in percent, and `labels a document`, of labels at least so probable.

    All labels of a document's shortlist may be given. Raises UsageError where there are no test documents.
    """
    prepared = training.read(call.inputs["prepared"])
    X, Y = prepared.csr("X_test.npz"), prepared.csr("Y_test.npz")
    if not X.shape[0]:
        raise UsageError(
            "there are no test documents to measure", remedy="add a test file to the dataset, train again"
        )
    model, num_labels = TrainedRun(training, cycle=call.cycle).model(), Y.shape[1]
    depth = min(training.config.shortlist.size, num_labels)
    blocks = []
    for at in range(0, X.shape[0], _BLOCK):
        labels, scores = model.top_k_of(X[at : at + _BLOCK], depth)
        blocks.append(np.where(scores >= threshold, labels, num_labels))
    top = np.concatenate(blocks)
    if prepared.has("test_filter.npy"):
        top = drop_filtered(top, prepared.array("test_filter.npy"), num_labels)
    given = top < num_labels
    offsets = np.append(0, np.cumsum(given.sum(axis=1)))
    predicted = sp.csr_matrix((np.ones(offsets[-1], np.float32), top[given], offsets), shape=Y.shape)
    return {**f1_scores(predicted, Y), "labels a document": predicted.nnz / X.shape[0]}
