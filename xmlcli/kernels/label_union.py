"""The labels that a batch is trained on: positives, shortlisted ones and random ones, each once."""

from __future__ import annotations

import numpy as np

from xmlcli.arrays import Array, Ints, Longs
from xmlcli.kernels.compiled import kernel


@kernel
def label_union(
    indptr: Array, positives: Ints, near: Ints, drawn: Longs, trainable: Longs, num_labels: int
) -> tuple[Longs, Longs, Longs]:
    """Return the labels of all three kinds that are trainable, ascending, and the positives by ascending column.

    indptr, positives: the documents' true labels, as CSR (B, L); near: int32 (B, k), padded with L; drawn: int64;
    trainable: int64, ascending. Of the positives, the row and the column among the returned labels, int64.
    """
    marked, place = np.zeros(num_labels, np.bool_), np.empty(num_labels, np.int32)
    for label in positives:
        marked[label] = True
    for document in range(len(near)):
        for label in near[document]:
            if label < num_labels:
                marked[label] = True
    for label in drawn:
        marked[label] = True
    labels = np.flatnonzero(marked)
    if len(trainable) < num_labels:
        at = np.searchsorted(trainable, labels)
        labels = labels[(at < len(trainable)) & (trainable[np.minimum(at, len(trainable) - 1)] == labels)]
    for column in range(len(labels)):
        place[labels[column]] = column
    ends = np.zeros(len(labels) + 1, np.int64)
    for label in positives:
        ends[place[label] + 1] += 1
    ends = np.cumsum(ends)
    rows, columns = np.empty(ends[-1], np.int64), np.empty(ends[-1], np.int64)
    for document in range(len(indptr) - 1):
        for p in range(indptr[document], indptr[document + 1]):
            column = place[positives[p]]
            rows[ends[column]], columns[ends[column]] = document, column
            ends[column] += 1
    return labels, rows, columns
