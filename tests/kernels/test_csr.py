"""CsrRows for a batch and their transpose against SciPy's."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from support.planted_data import sparse_rows

from xmlcli.kernels.csr import CsrRows, by_column, take_rows


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
