"""Products against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from support.planted_data import sparse_rows

from xmlcli.kernels.products import QuantisedDense, chosen_products, product_by_row, sparse_product, unit_rows
from xmlcli.machine import threads


@pytest.mark.parametrize("dim", [1, 7, 128])
def test_a_product_is_that_of_dense_algebra(dim: int) -> None:
    rng = np.random.default_rng(0)
    A = sparse_rows(50, 30, 5, rng).tolil()
    A[3] = 0
    A = A.tocsr().astype(np.float32)
    B = rng.normal(size=(dim, 30)).astype(np.float32).T  # not contiguous
    found = sparse_product(A, B)
    assert (found.shape, found.dtype) == ((50, dim), np.float32)
    assert np.allclose(found, A.toarray() @ B, atol=1e-5)
    assert not found[3].any()


def test_no_rows_give_no_rows() -> None:
    assert sparse_product(sp.csr_matrix((0, 4), dtype=np.float32), np.ones((4, 3), np.float32)).shape == (0, 3)


def test_threads_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    A, B = sparse_rows(200, 40, 9, rng), rng.normal(size=(40, 16)).astype(np.float32)
    found = set()
    for count in (1, 3):
        monkeypatch.setattr(threads, "num_threads", lambda count=count: count)
        found.add(sparse_product(A, B).tobytes())
    assert len(found) == 1


def test_chosen_products_are_entries_of_the_product_and_0_for_padding() -> None:
    rng = np.random.default_rng(2)
    documents, W = (rng.normal(size=(rows, 8)).astype(np.float32) for rows in (40, 12))
    labels = rng.integers(0, 13, (40, 5)).astype(np.int32)
    wanted = np.take_along_axis(np.column_stack([documents @ W.T, np.zeros(40)]), labels, axis=1)
    assert np.allclose(chosen_products(documents, W, labels), wanted, atol=1e-5)
    assert (labels == 12).any()


def test_products_with_a_quantised_table_are_those_with_its_floats() -> None:
    rng = np.random.default_rng(3)
    A, B = sparse_rows(50, 30, 5, rng), QuantisedDense.of(rng.normal(size=(30, 9)).astype(np.float32))
    documents, labels = rng.normal(size=(50, 9)).astype(np.float32), rng.integers(0, 31, (50, 4)).astype(np.int32)
    assert np.allclose(sparse_product(A, B), sparse_product(A, B.floats()), atol=1e-5)
    assert np.allclose(chosen_products(documents, B, labels), chosen_products(documents, B.floats(), labels), atol=1e-5)
    assert (B.shape, len(B)) == ((30, 9), 30)
    some = np.array([4, 4, 29])
    assert (B[some].floats() == B.floats()[some]).all()


def test_a_row_of_zeros_is_quantised_to_zeros_and_other_values_to_half_a_step() -> None:
    W = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    W[3] = 0
    table = QuantisedDense.of(W)
    assert QuantisedDense.of(table) is table
    assert not table.floats()[3].any()
    assert table.scale[3] == 1
    assert (np.abs(table.floats() - W) <= np.abs(W).max(axis=1, keepdims=True) / 127 * 0.5001).all()


def test_rows_are_scaled_to_unit_length_and_zeros_stay() -> None:
    found = unit_rows(np.array([[3, 4], [0, 0], [-0.5, 0], [1e-9, 0]], np.float32))
    assert found.dtype == np.float32
    assert np.allclose(found, [[0.6, 0.8], [0, 0], [-1, 0], [1, 0]])


@pytest.mark.parametrize("num_rows", [1, 3, 16, 17, 200])
def test_a_product_by_row_does_not_depend_on_other_rows(num_rows: int) -> None:
    rng = np.random.default_rng(0)
    A, W = (rng.standard_normal(shape).astype(np.float32) for shape in ((200, 40), (30, 40)))
    whole = product_by_row(A, W)
    assert np.allclose(whole, A @ W.T, atol=1e-4)
    parts = [product_by_row(A[at : at + num_rows], W) for at in range(0, 200, num_rows)]
    assert (np.vstack(parts) == whole).all()
