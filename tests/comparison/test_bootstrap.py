"""The paired bootstrap against a plain one, against SciPy, and where there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from xmlcli.arrays import Doubles
from xmlcli.comparison.bootstrap import holm, paired_bootstrap, two_sided
from xmlcli.kernels.resampling import count_draws
from xmlcli.machine import threads

Sums = dict[str, tuple[Doubles, Doubles]]


def system(values: Doubles, wholes: Doubles | None = None) -> Sums:
    return {"P@1": (values, np.ones(len(values)) if wholes is None else wholes)}


def pair(n: int, gain: float) -> tuple[Doubles, Doubles]:
    rng = np.random.default_rng(5)
    first = rng.random(n)
    return first, np.clip(first + rng.normal(gain, 0.3, n), 0, 1)


def plain(first: Doubles, other: Doubles, wholes: Doubles, draws: int) -> Doubles:
    """Return the differences of a bootstrap written as the definition has it."""
    rng, found = np.random.default_rng(1), np.empty(draws)
    for draw in range(draws):
        rows = rng.integers(0, len(first), len(first))
        found[draw] = 100 * (other[rows].sum() - first[rows].sum()) / wholes[rows].sum()
    return found


def test_interval_and_p_are_those_of_a_plain_bootstrap_of_a_ratio_of_sums() -> None:
    first, other = pair(120, 0.04)
    wholes = np.random.default_rng(2).random(120) + 0.5
    [[found]] = paired_bootstrap(system(first, wholes), [system(other, wholes)], draws=8000)
    drawn = plain(first, other, wholes, 8000)
    assert found.first == pytest.approx(100 * first.sum() / wholes.sum())
    assert found.difference == pytest.approx(100 * (other.sum() - first.sum()) / wholes.sum())
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.15 * drawn.std())
    assert found.p == pytest.approx(float(two_sided(drawn)), abs=0.02)


def test_interval_is_that_of_scipy() -> None:
    first, other = pair(200, 0.02)
    [[found]] = paired_bootstrap(system(first), [system(other)], draws=9999)
    theirs = stats.bootstrap(
        ((other - first) * 100,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert [found.low, found.high] == pytest.approx([theirs.low, theirs.high], abs=0.2)


@pytest.mark.parametrize("gain", [0.0, 0.03, 0.06])
def test_p_is_near_that_of_a_paired_t_test(gain: float) -> None:
    first, other = pair(400, gain)
    [[found]] = paired_bootstrap(system(first), [system(other)])
    assert found.p == pytest.approx(stats.ttest_rel(first, other).pvalue, abs=0.03)


def test_equal_systems_differ_by_nothing_and_p_is_1() -> None:
    first, _ = pair(50, 0)
    [[found]] = paired_bootstrap(system(first), [system(first.copy())], draws=500)
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_the_same_documents_are_drawn_for_both() -> None:
    first, _ = pair(60, 0)
    [[found]] = paired_bootstrap(system(first), [system(first + 0.25)], draws=500)
    assert [found.low, found.high] == pytest.approx([25, 25]), "a constant gain has no spread, however documents vary"


def test_p_values_are_corrected_together() -> None:
    first, other = pair(300, 0.03)
    [[alone]] = paired_bootstrap(system(first), [system(other)])
    [[one], [two], [same]] = paired_bootstrap(system(first), [system(other), system(other), system(first)])
    assert one.p == two.p == pytest.approx(3 * alone.p)
    assert same.p == 1


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    assert holm(np.array([0.04, 0.01, 0.03, 0.9])).tolist() == pytest.approx([0.09, 0.04, 0.09, 0.9])


def test_no_documents_and_nothing_to_get_are_0() -> None:
    none = system(np.zeros(0))
    [[found]] = paired_bootstrap(none, [none], draws=100)
    assert (found.first, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = pair(90, 0.02)
    wholes = np.arange(90.0)
    results = []
    for count, cells in ((1, 1 << 23), (3, 90 * 70)):
        monkeypatch.setattr(threads, "num_threads", lambda count=count: count)
        monkeypatch.setattr("xmlcli.comparison.bootstrap._CELLS", cells)
        results.append(paired_bootstrap(system(first, wholes), [system(other, wholes)], draws=1000))
    assert results[0] == results[1]


def test_every_item_is_drawn_as_often_as_any_other() -> None:
    counts = np.empty((2000, 7))
    count_draws(9, 0, 0, 2000, counts)
    assert (counts.sum(axis=1) == 7).all()
    expected = stats.binom(7, 1 / 7).pmf(np.arange(8)) * counts.size
    seen = np.bincount(counts.astype(np.int64).ravel(), minlength=8)
    few = expected < 5
    observed, wanted = np.append(seen[~few], seen[few].sum()), np.append(expected[~few], expected[few].sum())
    assert stats.chisquare(observed, wanted).pvalue > 1e-3
    assert stats.chisquare(counts.sum(axis=0)).pvalue > 1e-3


def test_a_draw_depends_on_the_seed_and_its_number_alone() -> None:
    all_at_once, later, other_seed = np.empty((6, 50)), np.empty((2, 50)), np.empty((6, 50))
    count_draws(4, 0, 0, 6, all_at_once)
    count_draws(4, 3, 0, 2, later)
    count_draws(5, 0, 0, 6, other_seed)
    assert np.array_equal(all_at_once[3:5], later)
    assert not np.array_equal(all_at_once, other_seed)
