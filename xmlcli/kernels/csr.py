"""CsrRows of sparse matrices, taken, transposed, packed: compiled, for steps that take few milliseconds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit

from xmlcli.arrays import Ints


class CsrRows(NamedTuple):
    """A CSR matrix without SciPy's checks, which take longer than the rest: float32 (B, M)."""

    indptr: Ints
    indices: Ints
    data: npt.NDArray[np.float32]
    shape: tuple[int, int]


def unsigned(indices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the same whole numbers, none below 0, as unsigned ones, without copying them.

    Compiled code asks of each signed index whether it counts from the end: a quarter of the time of adding up postings.
    """
    return indices.view(f"u{indices.dtype.itemsize}")


def take_rows(A: sp.csr_matrix, rows: npt.NDArray[np.int64]) -> CsrRows:
    """Return A[rows] of A float32 CSR (N, M)."""
    indptr, indices, data = _take(A.indptr, A.indices, A.data, rows)
    return CsrRows(indptr, indices, data, (len(rows), A.shape[1]))


def by_column(A: CsrRows) -> tuple[npt.NDArray[np.int64], CsrRows]:
    """Return the columns of A (B, M) that have entries, ascending int64 (U,), and their entries, (U, B).

    An entry stands where A has it, zero or not; rows come in ascending order.
    """
    columns, indptr, indices, data = _by_column(A.indptr, A.indices, A.data, A.shape[1])
    return columns, CsrRows(indptr, indices, data, (len(columns), A.shape[0]))


@njit(cache=True, nogil=True)
def packed(begin, counts, columns, values):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return columns and values without the room that was left unused."""
    packed_columns, packed_values = np.empty(counts.sum(), np.int32), np.empty(counts.sum(), np.float32)
    end = 0
    for row in range(len(counts)):
        for at in range(begin[row], begin[row] + counts[row]):
            packed_columns[end], packed_values[end] = columns[at], values[at]
            end += 1
    return packed_columns, packed_values


@njit(cache=True, nogil=True)
def _take(offsets, columns, values, rows):  # type: ignore[no-untyped-def]  # pragma: no cover
    ends = np.zeros(len(rows) + 1, np.int32)
    for i in range(len(rows)):
        ends[i + 1] = ends[i] + offsets[rows[i] + 1] - offsets[rows[i]]
    taken_columns, taken_values = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.float32)
    for i in range(len(rows)):
        own = slice(offsets[rows[i]], offsets[rows[i] + 1])
        taken_columns[ends[i] : ends[i + 1]] = columns[own]
        taken_values[ends[i] : ends[i + 1]] = values[own]
    return ends, taken_columns, taken_values


@njit(cache=True, nogil=True)
def _by_column(offsets, columns, values, num_columns):  # type: ignore[no-untyped-def]  # pragma: no cover
    counts = np.zeros(num_columns, np.int32)
    for column in columns:
        counts[column] += 1
    used = np.flatnonzero(counts)
    ends = np.zeros(len(used) + 1, np.int32)
    place = counts  # where the column's next entry goes
    for u in range(len(used)):
        ends[u + 1] = ends[u] + counts[used[u]]
        place[used[u]] = ends[u]
    rows, entries = np.empty(len(columns), np.int32), np.empty(len(columns), np.float32)
    for row in range(len(offsets) - 1):
        for p in range(offsets[row], offsets[row + 1]):
            at = place[columns[p]]
            rows[at], entries[at] = row, values[p]
            place[columns[p]] += 1
    return used, ends, rows, entries
