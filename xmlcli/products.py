"""Products with dense tables, of sparse rows or of chosen pairs of rows, on all threads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit

from xmlcli.batches import Rows
from xmlcli.threads import over_rows

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


def sparse_product(A: sp.csr_matrix, B: Floats) -> Floats:
    """Return A @ B, float32 (N, D), of A float32 CSR (N, M) and B float32 (M, D).

    A row's terms are added in their order, so the result does not depend on the number of threads.
    """
    B = np.ascontiguousarray(B)
    total = np.empty((A.shape[0], B.shape[1]), np.float32)
    over_rows(
        A.shape[0],
        lambda first, last: add_up(A, B, first, last, total[first:last]),
        cost=A.nnz / max(A.shape[0], 1) * B.shape[1],
    )
    return total


def add_up(A: Rows, B: Floats, first: int, last: int, total: Floats) -> Floats:
    """Write the rows `first` to `last` of A @ B, B in C order, to `total`, float32 (last - first, D); return it."""
    _add_up(A.indptr[first : last + 1], A.indices, A.data, B, total)
    return total


@njit(cache=True, nogil=True, fastmath=True)
def _add_up(offsets, columns, values, B, total):  # type: ignore[no-untyped-def]  # pragma: no cover
    for i in range(len(total)):
        row = total[i]
        row[:] = 0
        for p in range(offsets[i], offsets[i + 1]):
            value, vector = values[p], B[columns[p]]
            for d in range(len(row)):
                row[d] += value * vector[d]


def chosen_products(documents: Floats, W: Floats, labels: Ints) -> Floats:
    """Return the product of each document's vector with its labels' rows of W, float32 (N, k); 0 for padding.

    documents: float32 (N, D); W: float32 (L, D); labels: int32 (N, k), padded with L.
    """
    products = np.zeros(labels.shape, np.float32)
    over_rows(len(documents), lambda first, last: _multiply(documents, W, labels, first, last, products))
    return products


@njit(cache=True, nogil=True, fastmath=True)
def _multiply(documents, W, labels, first, last, products):  # type: ignore[no-untyped-def]  # pragma: no cover
    for i in range(first, last):
        for j in range(labels.shape[1]):
            label = labels[i, j]
            if label < W.shape[0]:
                total = np.float32(0)
                for d in range(W.shape[1]):
                    total += documents[i, d] * W[label, d]
                products[i, j] = total
