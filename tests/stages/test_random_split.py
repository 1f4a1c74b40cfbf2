"""Documents that are set aside: how many, which, and whole groups of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmlcli.arrays import Longs
from xmlcli.stages.random_split import draw_documents


def draw(eligible: int, size: int, seed: int, groups: Longs | None = None) -> Longs:
    return draw_documents(np.ones(eligible, np.bool_), size, np.random.default_rng(seed), groups)


@given(st.integers(0, 1000), st.integers(0, 80), st.floats(0, 1))
def test_as_many_as_wanted_are_drawn_of_those_that_may_be(seed: int, size: int, share: float) -> None:
    eligible = np.random.default_rng(seed).random(60) < share
    rows = draw_documents(eligible, size, np.random.default_rng(seed))
    assert rows.dtype == np.int64
    assert len(rows) == min(size, eligible.sum())
    assert np.all(np.diff(rows) > 0)
    assert eligible[rows].all()


def test_every_document_is_drawn_alike_often() -> None:
    counts = np.bincount(np.concatenate([draw(20, 5, seed) for seed in range(2000)]), minlength=20)
    assert np.all(np.abs(counts - 500) < 100)  # five standard deviations


@given(st.integers(0, 1000), st.integers(0, 50))
def test_groups_are_drawn_whole(seed: int, size: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 12, 50)
    rows = draw(50, size, seed, groups)
    assert len(rows) <= size
    assert not np.isin(np.delete(groups, rows), groups[rows]).any()
    rest = np.bincount(np.delete(groups, rows))
    assert not np.any((rest > 0) & (rest <= size - len(rows)))  # no further group would fit


@pytest.mark.parametrize("groups", [None, np.arange(500) // 3])
def test_the_seed_decides(groups: Longs | None) -> None:
    assert np.array_equal(draw(500, 50, 1, groups), draw(500, 50, 1, groups))
    assert not np.array_equal(draw(500, 50, 1, groups), draw(500, 50, 2, groups))


def test_nothing_wanted_or_nothing_there_gives_nothing() -> None:
    for groups in (None, np.zeros(0, np.int64)):
        assert len(draw(0, 5, 1, groups)) == 0
    assert len(draw(4, 0, 1)) == 0
