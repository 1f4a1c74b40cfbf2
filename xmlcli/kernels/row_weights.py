"""Rows of sparse features, weighted by idf and scaled to unit length."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats
from xmlcli.kernels.compiled import kernel
from xmlcli.kernels.csr import CsrRows
from xmlcli.machine.threads import over_rows


def weigh_rows(X: sp.csr_matrix, idf: Floats | None) -> sp.csr_matrix:
    """Given features, weighted by idf unless that is None, rows scaled to unit L2 norm; an empty row stays empty.

    Returns:
        float32 CSR of the shape of `X`, a new matrix.
    """
    scaled = np.empty(X.nnz, np.float32)
    weigh_into(scaled, X, idf)
    return sp.csr_matrix((scaled, X.indices.copy(), X.indptr.copy()), shape=X.shape)


def weigh_into(scaled: Floats, X: sp.csr_matrix, idf: Floats | None) -> None:
    """Write the weighted values of X to `scaled`, which may be its own where they are counts, far from overflow."""
    rows = CsrRows(X.indptr, X.indices, X.data.astype(np.float32, copy=False), X.shape)
    weights = np.zeros(0, np.float32) if idf is None else idf
    over_rows(X.shape[0], lambda first, last: _weigh(rows, weights, first, last, scaled))


@kernel
def _weigh(X: CsrRows, idf: Floats, first: int, last: int, scaled: Floats) -> None:
    """Write rows first, …, last - 1, weighted unless there are no weights, divided by their length."""
    for row in range(first, last):
        square = 0.0
        for p in range(X.indptr[row], X.indptr[row + 1]):
            scaled[p] = X.data[p] * idf[X.indices[p]] if len(idf) else X.data[p]
            square += np.float64(scaled[p]) * np.float64(scaled[p])
        if square == np.inf:
            _weigh_large(X, idf, row, scaled)
            continue
        length = np.sqrt(square) if square else 1.0
        for p in range(X.indptr[row], X.indptr[row + 1]):
            scaled[p] = scaled[p] / length


@kernel
def _weigh_large(X: CsrRows, idf: Floats, row: int, scaled: Floats) -> None:
    """Write one row whose weighted values float32 does not hold, by way of float64, which holds their squares too."""
    square = 0.0
    for p in range(X.indptr[row], X.indptr[row + 1]):
        weighted = np.float64(X.data[p]) * (np.float64(idf[X.indices[p]]) if len(idf) else 1.0)
        square += weighted * weighted
    length = np.sqrt(square)
    for p in range(X.indptr[row], X.indptr[row + 1]):
        scaled[p] = np.float64(X.data[p]) * (np.float64(idf[X.indices[p]]) if len(idf) else 1.0) / length
