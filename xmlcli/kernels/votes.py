"""kNN votes: the weights of the nearest documents, added up for the labels they carry."""

from __future__ import annotations

import numpy as np

from xmlcli.arrays import Floats, Ints
from xmlcli.kernels.compiled import kernel
from xmlcli.kernels.csr import CsrRows


@kernel
def sum_votes(
    nearest: Ints, weights: Floats, labels: CsrRows, candidates: Ints, first: int, last: int, votes: Floats
) -> None:
    """Write the summed weight of the documents that carry each candidate, of rows first, …, last - 1.

    nearest: int32 (n, K), rows of `labels` (N, L), and their weights; candidates: int32 (n, k), padded with L; votes:
    (n, k).
    """
    indptr, indices, _, (_, num_labels) = labels
    total = np.zeros(num_labels + 1, np.float32)
    for i in range(first, last):
        for j in range(nearest.shape[1]):
            if weights[i, j] > 0:
                for p in range(indptr[nearest[i, j]], indptr[nearest[i, j] + 1]):
                    total[indices[p]] += weights[i, j]
        for j in range(candidates.shape[1]):
            votes[i, j] = total[candidates[i, j]]
        for j in range(nearest.shape[1]):
            if weights[i, j] > 0:
                for p in range(indptr[nearest[i, j]], indptr[nearest[i, j] + 1]):
                    total[indices[p]] = 0
