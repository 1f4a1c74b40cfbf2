"""Quantised sparse rows: the columns' bytes at their borders, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmlcli.errors import ArtifactError
from xmlcli.kernels.quantised import QuantisedRows


def rows_of(columns: list[int], num_columns: int) -> QuantisedRows:
    """One row with ones in some columns."""
    row = sp.csr_matrix((np.ones(len(columns), np.float32), ([0] * len(columns), columns)), shape=(1, num_columns))
    return QuantisedRows.of(row, num_columns=num_columns)


@pytest.mark.parametrize("gap", [1, 127, 128, 129, 130, 1 << 14, (1 << 14) + 1, 1 << 21, 1 << 28, (1 << 28) + 1])
def test_gaps_of_any_length_between_columns_come_back(gap: int) -> None:
    columns = [gap - 1, 2 * gap - 1, 2 * gap]
    arrays = rows_of(columns, 1 << 30).to_arrays()
    assert QuantisedRows.from_arrays(arrays, num_columns=1 << 30).columns.tolist() == columns


def test_the_last_column_is_the_last_that_is_read() -> None:
    arrays = rows_of([5, 99], 100).to_arrays()
    assert QuantisedRows.from_arrays(arrays, num_columns=100).columns.tolist() == [5, 99]
    with pytest.raises(ArtifactError, match="columns below 99"):
        QuantisedRows.from_arrays(arrays, num_columns=99)


def test_bytes_behind_the_last_column_are_damage() -> None:
    arrays = rows_of([5, 99], 100).to_arrays()
    with pytest.raises(ArtifactError, match="sparse matrix is damaged"):
        QuantisedRows.from_arrays({**arrays, "columns": np.append(arrays["columns"], np.uint8(0))}, num_columns=100)


def test_a_value_is_off_by_half_a_step_of_its_row_at_most() -> None:
    dense = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    step = np.abs(dense).max(axis=1, keepdims=True) / 127
    assert (np.abs(QuantisedRows.of(sp.csr_matrix(dense), num_columns=8).floats() - dense) <= step * 0.5001).all()
