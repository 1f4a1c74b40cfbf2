"""Rows of features given to the library: what kernels would believe is checked first."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmlcli.errors import UsageError
from xmlcli.features.given import given_rows


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array])
def test_a_feature_that_is_not_finite_is_named(form: type, value: float) -> None:
    for before in (2, 0):  # it may be the first entry of its row
        documents = np.array([[1, 0, 0], [0, 0, 0], [before, value, 0]])
        with pytest.raises(UsageError, match=r"not finite\nwhere: documents\[2\]\n.*\nfound: .* in column 1"):
            given_rows(form(documents))


@pytest.mark.parametrize(
    ("name", "values"), [("indices", [0, 5]), ("indices", [0, -1]), ("indptr", [0, 2, 1, 2]), ("indptr", [0, 1, 1, 9])]
)
def test_an_index_out_of_range_is_refused(name: str, values: list[int]) -> None:
    X = sp.csr_matrix(np.eye(3, 2, dtype=np.float32))
    setattr(X, name, np.array(values, np.int32))
    with pytest.raises(UsageError, match="no valid matrix"):
        given_rows(X)


def test_repeated_entries_are_added_and_the_matrix_left_as_it_is() -> None:
    X = sp.csr_matrix((np.array([1, 2, 4], np.float32), [1, 0, 1], [0, 3]), shape=(1, 2))
    assert given_rows(X).toarray().tolist() == [[2, 5]]
    assert X.data.tolist() == [1, 2, 4]
    assert given_rows(np.zeros((0, 4))).shape == (0, 4)
