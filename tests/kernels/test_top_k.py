"""The largest numbers against sorting all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xmlcli.kernels.top_k import sort_best, sort_rows, threshold

numbers = st.floats(allow_nan=False, width=32)


def assert_parts(found: float, values: np.ndarray, k: int) -> None:
    kth = np.sort(values)[len(values) - k]
    assert (values >= found).tolist() == (values >= kth).tolist()
    assert found <= kth


@settings(deadline=None)  # the first call compiles
@given(values=arrays.arrays(np.float32, st.integers(1, 60), elements=numbers), data=st.data())
def test_the_threshold_parts_the_largest_from_the_rest(values: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    assert_parts(threshold(values, k), values, k)


@pytest.mark.parametrize("shape", ["even", "ties", "one far away", "tiny", "negative"])
def test_so_it_is_of_many(shape: str) -> None:
    values = np.random.default_rng(0).random(3000).astype(np.float32)
    if shape == "ties":
        values = np.floor(values * 7).astype(np.float32)
    elif shape == "one far away":
        values[5] = 1e20
    elif shape == "tiny":
        values *= np.float32(1e-40)
    elif shape == "negative":
        values -= 5
    for k in (1, 2, 100, 1500, 2999, 3000):
        assert_parts(threshold(values, k), values, k)


@pytest.mark.parametrize("count", [0, 1, 256, 257, 500])
def test_the_first_are_sorted_in_place_and_the_rest_stays(count: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(2**31 - 1 - np.arange(500)).astype(np.int32)
    labels[::7] = 9  # several alike, as padding is
    values = np.floor(rng.random(500) * 90).astype(np.float32) - 45  # many ties
    given_labels, given_values = labels.copy(), values.copy()
    sort_best(labels, values, count)
    order = np.lexsort((given_labels[:count], -given_values[:count]))
    assert labels.tolist() == [*given_labels[order], *given_labels[count:]]
    assert values.tolist() == [*given_values[order], *given_values[count:]]


def test_rows_are_sorted_by_falling_value_and_rising_label() -> None:
    labels = np.array([[4, 2, 9, 0], [1, 3, 5, 7]], np.int32)
    values = np.array([[0.0, -0.0, -np.inf, 2.0], [-1.5, -1.5, 3.0, -2.0]], np.float32)
    found, best = np.zeros((2, 3), np.int32), np.zeros((2, 3), np.float32)
    sort_rows(labels, values, 0, 2, found, best)
    assert found.tolist() == [[0, 2, 4], [5, 1, 3]]
    assert best.tolist() == [[2.0, 0.0, 0.0], [3.0, -1.5, -1.5]]


def test_a_part_of_the_rows_is_what_sorting_them_whole_gives() -> None:
    rng = np.random.default_rng(0)
    labels = np.stack([rng.permutation(300)[:200] for _ in range(40)]).astype(np.int32)
    values = np.floor(rng.random((40, 200)) * 50).astype(np.float32) - 20  # many ties
    values[0, 7:] = -np.inf
    found, best = np.zeros((40, 60), np.int32), np.zeros((40, 60), np.float32)
    sort_rows(labels, values, 0, 40, found, best)
    order = np.lexsort((labels, -values), axis=1)[:, :60]
    np.testing.assert_array_equal(best, np.take_along_axis(values, order, axis=1))
    np.testing.assert_array_equal(found, np.take_along_axis(labels, order, axis=1))
