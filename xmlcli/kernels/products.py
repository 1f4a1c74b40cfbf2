"""Products with dense tables, of sparse rows or of chosen pairs of rows, on all threads.

A table is float32, or quantised, as an exported model keeps it: a byte a number, and one float32 scale a row. Most of
the time goes by until a row comes from memory, so a quarter of the bytes is faster too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints
from xmlcli.kernels.compiled import fast_kernel
from xmlcli.kernels.csr import CsrRows
from xmlcli.machine.threads import over_rows

_MOST = 127


@dataclass(frozen=True)
class QuantisedDense:
    """A dense matrix: values int8 (R, D) in -127, …, 127, each times its row's scale, float32 (R,).

    The error is at most 1/254 of the row's largest value.
    """

    values: npt.NDArray[np.int8]
    scale: Floats

    @staticmethod
    def of(W: Table) -> QuantisedDense:
        """Quantise W float32 (R, D)."""
        if isinstance(W, QuantisedDense):
            return W
        scale = scales(np.abs(W).max(axis=1, initial=0))
        return QuantisedDense(np.rint(W / scale[:, None]).astype(np.int8), scale)

    def floats(self) -> Floats:
        """Return float32 (R, D)."""
        values = self.values.astype(np.float32)
        values *= self.scale[:, None]
        return values

    @property
    def shape(self) -> tuple[int, int]:
        """R and D."""
        return self.values.shape

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def __getitem__(self, rows: Array) -> QuantisedDense:
        """Return some of the rows, copied."""
        return QuantisedDense(self.values[rows], self.scale[rows])


Table: TypeAlias = Floats | QuantisedDense
"""Float32 (R, D), or quantised."""


def scales(largest: Floats) -> Floats:
    """Return the scale of quantised rows by their largest absolute value, 1 for rows of zeros."""
    return np.where(largest > 0, largest / np.float32(_MOST), np.float32(1)).astype(np.float32)


def values_and_scale(table: Table) -> tuple[Array, Floats | None]:
    """Return the values of a table in C order, and the rows' scale, None for 1: what compiled loops take."""
    if isinstance(table, QuantisedDense):
        return np.ascontiguousarray(table.values), table.scale
    return np.ascontiguousarray(table), None


def floats(table: Table) -> Floats:
    """Return a table as float32 (R, D)."""
    return table.floats() if isinstance(table, QuantisedDense) else table


def unit_rows(vectors: Floats) -> Floats:
    """Return float32 (N, D) with rows of unit length; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def sparse_product(A: sp.csr_matrix, B: Table) -> Floats:
    """Return A @ B, float32 (N, D), of A float32 CSR (N, M) and B (M, D).

    A row's terms are added in their order, so the result does not depend on the number of threads.
    """
    values, scale = values_and_scale(B)
    rows, total = CsrRows.of(A), np.empty((A.shape[0], B.shape[1]), np.float32)
    over_rows(
        A.shape[0],
        lambda first, last: _add_up(rows, values, scale, first, last, total[first:last]),
        cost=A.nnz / max(A.shape[0], 1) * B.shape[1],
    )
    return total


def add_up(A: CsrRows, B: Floats, first: int, last: int, total: Floats) -> Floats:
    """Write the rows `first` to `last` of A @ B, B in C order, to `total`, float32 (last - first, D); return it."""
    _add_up(A, B, None, first, last, total)
    return total


@fast_kernel
def _add_up(A: CsrRows, B: Array, scale: Floats | None, first: int, last: int, total: Floats) -> None:
    for i in range(last - first):
        row = total[i]
        row[:] = 0
        for p in range(A.indptr[first + i], A.indptr[first + i + 1]):
            value, vector = A.data[p], B[A.indices[p]]
            if scale is not None:
                value *= scale[A.indices[p]]
            for d in range(len(row)):
                row[d] += value * np.float32(vector[d])


def transposed_product(A: Floats, W: Floats) -> Floats:
    """Return A @ W.T, float32 (N, O), of A (N, D) and W (O, D)."""
    return np.asarray(A @ W.T, np.float32)


def product_by_row(A: Floats, W: Floats) -> Floats:
    """Return A @ W.T, float32 (N, O), of A (N, D) and W (O, D), a row of which depends on that row of A alone.

    A library for matrices adds up in another order for another number of rows.
    """
    A, W, total = np.ascontiguousarray(A), np.ascontiguousarray(W), np.empty((len(A), len(W)), np.float32)
    over_rows(len(A), lambda first, last: _multiply_rows(A, W, first, last, total), cost=W.size)
    return total


@fast_kernel
def _multiply_rows(A: Floats, W: Floats, first: int, last: int, total: Floats) -> None:
    for i in range(first, last):
        for o in range(W.shape[0]):
            sum_ = np.float32(0)
            for d in range(W.shape[1]):
                sum_ += A[i, d] * W[o, d]
            total[i, o] = sum_


def chosen_products(documents: Floats, W: Table, labels: Ints) -> Floats:
    """Return the product of each document's vector with its labels' rows of W, float32 (N, k); 0 for padding.

    documents: float32 (N, D); W: (L, D); labels: int32 (N, k), padded with L.
    """
    products = np.zeros(labels.shape, np.float32)
    values, scale = values_and_scale(W)
    over_rows(len(documents), lambda first, last: _multiply(documents, values, scale, labels, first, last, products))
    return products


@fast_kernel
def _multiply(
    documents: Floats, W: Array, scale: Floats | None, labels: Ints, first: int, last: int, products: Floats
) -> None:
    for i in range(first, last):
        for j in range(labels.shape[1]):
            label = labels[i, j]
            if label < W.shape[0]:
                total = np.float32(0)
                for d in range(W.shape[1]):
                    total += documents[i, d] * np.float32(W[label, d])
                if scale is not None:
                    total *= scale[label]
                products[i, j] = total
