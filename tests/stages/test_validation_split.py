"""The validation split: no label loses its last document, sizes, seeds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from xmlcli.stages.validation_split import carve_validation


def labels(seed: int, rows: int = 60, columns: int = 12, density: float = 0.1) -> sp.csr_matrix:
    return sp.random(rows, columns, density, format="csr", dtype=np.float32, random_state=seed)


@given(st.integers(0, 1000), st.integers(0, 80), st.sampled_from([0.01, 0.1, 0.4]))
def test_every_label_keeps_a_document_and_rows_are_rising_and_labelled(seed: int, size: int, density: float) -> None:
    Y = labels(seed, density=density)
    rows = carve_validation(Y, size, seed)
    assert rows.dtype == np.int64
    assert len(rows) <= size
    assert np.all(np.diff(rows) > 0)
    left = np.setdiff1d(np.arange(Y.shape[0]), rows)
    assert np.array_equal(Y.getnnz(axis=0) > 0, Y[left].getnnz(axis=0) > 0)
    assert np.all(Y[rows].getnnz(axis=1) > 0)


def test_as_many_as_wanted_are_taken_where_labels_are_frequent() -> None:
    Y = sp.csr_matrix(np.ones((50, 3), np.float32))
    assert len(carve_validation(Y, 20, 1)) == 20
    assert len(carve_validation(Y, 100, 1)) == 49


def test_a_label_seen_once_stays_in_training() -> None:
    Y = sp.csr_matrix(np.eye(5, dtype=np.float32))
    assert len(carve_validation(Y, 5, 1)) == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_the_seed_decides(seed: int) -> None:
    Y = labels(3, rows=500)
    assert np.array_equal(carve_validation(Y, 50, seed), carve_validation(Y, 50, seed))
    assert not np.array_equal(carve_validation(Y, 50, seed), carve_validation(Y, 50, seed + 1))


def test_nothing_wanted_or_nothing_there_gives_nothing() -> None:
    assert len(carve_validation(labels(1), 0, 1)) == 0
    assert len(carve_validation(sp.csr_matrix((0, 4), dtype=np.float32), 5, 1)) == 0
    assert len(carve_validation(sp.csr_matrix((4, 0), dtype=np.float32), 5, 1)) == 0
