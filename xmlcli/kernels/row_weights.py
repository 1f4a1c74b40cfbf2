"""Rows of sparse features, weighted by idf and scaled to unit length."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numba import njit

from xmlcli.arrays import Floats
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
    """Write the weighted values of X to `scaled`, which may be its own."""
    values, weights = X.data.astype(np.float32, copy=False), np.zeros(0, np.float32) if idf is None else idf
    over_rows(X.shape[0], lambda first, last: _weigh(X.indptr, X.indices, values, weights, first, last, scaled))


@njit(cache=True, nogil=True)
def _weigh(offsets, columns, values, idf, first, last, scaled):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write rows first, …, last - 1, weighted unless there are no weights, divided by their length."""
    for row in range(first, last):
        square = 0.0
        for p in range(offsets[row], offsets[row + 1]):
            scaled[p] = values[p] * idf[columns[p]] if len(idf) else values[p]
            square += np.float64(scaled[p]) * np.float64(scaled[p])
        length = np.sqrt(square) if square else 1.0
        for p in range(offsets[row], offsets[row + 1]):
            scaled[p] = scaled[p] / length
