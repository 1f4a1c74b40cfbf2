"""CsrRows for a batch and their transpose against SciPy's."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from support.planted_data import sparse_rows

from xmlcli.kernels.csr import CsrRows, RowBuffer, by_column, packed, take_rows


def whole(rows: CsrRows) -> sp.csr_matrix:
    return sp.csr_matrix((rows.data, rows.indices, rows.indptr), shape=rows.shape)


def matrix() -> sp.csr_matrix:
    A = sparse_rows(40, 30, 4, np.random.default_rng(0)).tolil()
    A[7], A[39] = 0, 0
    return A.tocsr().astype(np.float32)


def test_rows_are_those_asked_for_in_that_order() -> None:
    A = matrix()
    for rows in ([3, 39, 7, 3, 0], [], list(range(40))):
        found = take_rows(A, np.array(rows, np.int64))
        assert (whole(found) != A[rows]).nnz == 0
        assert [part.dtype for part in found[:3]] == [np.int32, np.int32, np.float32]


def test_rows_are_packed_without_the_room_that_was_left() -> None:
    buffer = RowBuffer.of(np.array([0, 3, 3, 7]))
    for row, columns in ((0, [4, 6]), (2, [1, 2, 9])):
        own = slice(buffer.begin[row], buffer.begin[row] + len(columns))
        buffer.columns[own], buffer.values[own], buffer.counts[row] = columns, np.array(columns) / 2, len(columns)
    columns, values = packed(buffer)
    assert columns.tolist() == [4, 6, 1, 2, 9]
    assert values.tolist() == [2, 3, 0.5, 1, 4.5]


def test_a_batch_by_column_is_its_transpose_without_the_columns_that_are_empty() -> None:
    A = matrix()
    A.data[5] = 0  # stored all the same
    batch = take_rows(A, np.array([5, 7, 1, 20, 2]))
    columns, found = by_column(batch)
    assert columns.tolist() == np.unique(batch.indices).tolist()
    assert len(found.data) == len(batch.data)
    assert np.array_equal(whole(found).toarray(), whole(batch).toarray().T[columns])
    assert whole(found).has_sorted_indices
    nothing, empty = by_column(take_rows(A, np.array([7, 39])))
    assert (len(nothing), empty.shape, len(empty.data)) == (0, (0, 2), 0)
