"""Sparse matrices in CSR form for kernels: taking rows, transposing, and writing rows of unknown length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints, Longs
from xmlcli.kernels.compiled import kernel


class CsrRows(NamedTuple):
    """A CSR matrix without SciPy's checks, which take longer than the rest: float32 (B, M).

    Attributes:
        indptr: int32 or int64 (B + 1,); indices: int32 or uint32 (nnz,); data: float32 (nnz,).
        shape: B and M.
    """

    indptr: Array
    indices: Array
    data: Floats
    shape: tuple[int, int]

    @staticmethod
    def of(A: sp.csr_matrix) -> CsrRows:
        """Return A float32 CSR (B, M), or the transpose of A float32 CSC (M, B), without copying it."""
        shape = A.shape if A.format == "csr" else A.shape[::-1]
        return CsrRows(A.indptr, A.indices, A.data, shape)

    def unsigned(self) -> CsrRows:
        """Return the same matrix with unsigned column numbers, without copying it; see `unsigned`."""
        return self._replace(indices=unsigned(self.indices))


class RowBuffer(NamedTuple):
    """Sparse rows that are being written, each into room for the most entries that it may have.

    Attributes:
        begin: int64 (R + 1,), where each row's room begins in `columns` and `values`.
        counts: int64 (R,), how many entries each row has.
        columns: int32; values: float32.
    """

    begin: Longs
    counts: Longs
    columns: Ints
    values: Floats

    @staticmethod
    def of(begin: Longs) -> RowBuffer:
        """Make room for rows without entries."""
        counts = np.zeros(len(begin) - 1, np.int64)
        return RowBuffer(begin, counts, np.empty(begin[-1], np.int32), np.empty(begin[-1], np.float32))


def unsigned(indices: Array) -> Array:
    """Return the same whole numbers, none below 0, as unsigned ones, without copying them.

    Compiled code asks of each signed index whether it counts from the end: a quarter of the time of adding up postings.
    """
    return indices.view(f"u{indices.dtype.itemsize}")


def take_rows(A: sp.csr_matrix, rows: Longs) -> CsrRows:
    """Return A[rows] of A float32 CSR (N, M)."""
    return CsrRows(*_take(CsrRows.of(A), rows), (len(rows), A.shape[1]))


def by_column(A: CsrRows) -> tuple[Longs, CsrRows]:
    """Return the columns of A (B, M) that have entries, ascending int64 (U,), and their entries, (U, B).

    An entry stands where A has it, zero or not; rows come in ascending order.
    """
    columns, indptr, indices, data = _by_column(A)
    return columns, CsrRows(indptr, indices, data, (len(columns), A.shape[0]))


@kernel
def packed(buffer: RowBuffer) -> tuple[Ints, Floats]:
    """Return the columns and values of all rows, one after the other, without the room that was left unused."""
    total = buffer.counts.sum()
    columns, values = np.empty(total, np.int32), np.empty(total, np.float32)
    end = 0
    for row in range(len(buffer.counts)):
        for at in range(buffer.begin[row], buffer.begin[row] + buffer.counts[row]):
            columns[end], values[end] = buffer.columns[at], buffer.values[at]
            end += 1
    return columns, values


@kernel
def _take(A: CsrRows, rows: Longs) -> tuple[Ints, Ints, Floats]:
    """Return indptr, indices and data of A[rows]."""
    indptr = np.zeros(len(rows) + 1, np.int32)
    for i in range(len(rows)):
        indptr[i + 1] = indptr[i] + A.indptr[rows[i] + 1] - A.indptr[rows[i]]
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    for i in range(len(rows)):
        own = slice(A.indptr[rows[i]], A.indptr[rows[i] + 1])
        indices[indptr[i] : indptr[i + 1]] = A.indices[own]
        data[indptr[i] : indptr[i + 1]] = A.data[own]
    return indptr, indices, data


@kernel
def _by_column(A: CsrRows) -> tuple[Longs, Ints, Ints, Floats]:
    """Return the columns with entries, and indptr, indices and data of their rows of the transpose."""
    counts = np.zeros(A.shape[1], np.int32)
    for column in A.indices:
        counts[column] += 1
    columns = np.flatnonzero(counts)
    indptr = np.zeros(len(columns) + 1, np.int32)
    next_entry = counts  # where the column's next entry goes
    for u in range(len(columns)):
        indptr[u + 1] = indptr[u] + counts[columns[u]]
        next_entry[columns[u]] = indptr[u]
    rows, data = np.empty(len(A.indices), np.int32), np.empty(len(A.indices), np.float32)
    for row in range(A.shape[0]):
        for p in range(A.indptr[row], A.indptr[row + 1]):
            at = next_entry[A.indices[p]]
            rows[at], data[at] = row, A.data[p]
            next_entry[A.indices[p]] += 1
    return columns, indptr, rows, data
