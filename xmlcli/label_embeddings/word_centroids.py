"""Word centroids of labels: the mean of the tf-idf rows of their documents, sparse."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats
from xmlcli.kernels.row_weights import weigh_rows
from xmlcli.machine.threads import over_rows

_SMALLEST = 0.05
_LABELS = 1024  # a block, whose sums have many more entries than are kept


def word_centroids(X: sp.csr_matrix, Y: sp.csr_matrix, label_text: sp.csr_matrix | None) -> sp.csr_matrix:
    """Return unit centroids of the labels' documents, their own text counted as one more; float32 CSR (L, F).

    Entries under 0.05 are dropped: frequent labels have thousands, which cost time and decide nothing.
    """
    labels = Y.T.tocsr()
    blocks: dict[int, sp.csr_matrix] = {}

    def some(first: int, last: int) -> None:
        for at in range(first, last, _LABELS):
            rows = slice(at, min(at + _LABELS, last))
            sums = labels[rows] @ X
            centroids = weigh_rows(sums if label_text is None else (sums + label_text[rows]).tocsr(), None)
            blocks[at] = without_smallest(centroids)

    over_rows(labels.shape[0], some)
    return sp.vstack([blocks[at] for at in sorted(blocks)], format="csr")


def without_smallest(rows: sp.csr_matrix) -> sp.csr_matrix:
    """Return a CSR matrix without entries under 0.05, which of unit rows cost time and decide nothing."""
    kept, before = rows.data >= _SMALLEST, np.zeros(rows.nnz + 1, rows.indptr.dtype)
    np.cumsum(kept, out=before[1:])
    return sp.csr_matrix((rows.data[kept], rows.indices[kept], before[rows.indptr]), shape=rows.shape)


def label_frequencies(Y: sp.csr_matrix) -> Floats:
    """Return the number of documents of each label, float32 (L,), of Y (N, L)."""
    return np.asarray(Y.getnnz(axis=0), np.float32)
