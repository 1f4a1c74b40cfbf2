"""Products of sparse rows with dense tables, on all threads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit

from xmlcli.threads import over_rows

Floats = npt.NDArray[np.float32]


def sparse_product(A: sp.csr_matrix, B: Floats) -> Floats:
    """Return A @ B, float32 (N, D), of A float32 CSR (N, M) and B float32 (M, D).

    A row's terms are added in their order, so the result does not depend on the number of threads.
    """
    B = np.ascontiguousarray(B)
    total = np.empty((A.shape[0], B.shape[1]), np.float32)
    over_rows(
        A.shape[0],
        lambda first, last: _add_up(A.indptr, A.indices, A.data, B, first, last, total),
        cost=A.nnz / max(A.shape[0], 1) * B.shape[1],
    )
    return total


@njit(cache=True, nogil=True, fastmath=True)
def _add_up(offsets, columns, values, B, first, last, total):  # type: ignore[no-untyped-def]  # pragma: no cover
    for i in range(first, last):
        row = total[i]
        row[:] = 0
        for p in range(offsets[i], offsets[i + 1]):
            value, vector = values[p], B[columns[p]]
            for d in range(len(row)):
                row[d] += value * vector[d]
