"""The curve from scores to log-odds: it finds a planted one, rises, and stays away where there is too little to fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, logit

from xmlcli.prediction import calibration
from xmlcli.prediction.calibration import calibrated, fit_curve
from xmlcli.prediction.combination import Combination, log_odds, take_top_k


def planted(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels that are right as often as half of the score says above 0 and the score itself below."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(-2, 2.5, size)
    return scores, rng.random(size) < expit(np.where(scores > 0, scores / 2, scores))


def ones(size: int) -> np.ndarray:
    return np.ones(size)


def test_what_counts_twice_counts_as_two() -> None:
    scores, right = planted(3000)
    counts = np.random.default_rng(1).integers(0, 3, 3000).astype(float)
    repeated = np.repeat(np.arange(3000), counts.astype(int))
    once, twice = fit_curve(scores, right, counts), fit_curve(scores[repeated], right[repeated], ones(len(repeated)))
    grid = np.linspace(-6, 4, 50, dtype=np.float32)
    assert np.allclose(log_odds(grid, once), log_odds(grid, twice), atol=0.1)


def test_a_planted_curve_is_found() -> None:
    curve = fit_curve(*planted(50_000), ones(50_000))
    scores, right = planted(50_000, 1)
    fitted = expit(log_odds(scores.astype(np.float32), curve))
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.0)):
        chosen = (fitted >= low) & (fitted < high)
        assert fitted[chosen].mean() == pytest.approx(right[chosen].mean(), abs=0.05)


def test_two_bins_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bins of equal weight, expected and right labels together; each has the predicted share as one label more."""
    monkeypatch.setattr(calibration, "_MOST_BINS", 2)
    low, high = expit(-2.0), expit(2.0)
    scores = np.repeat([-2.0, 2.0], 200)
    right = np.concatenate([np.arange(200) < 20, np.arange(200) < 180])
    weight = 200 * low + 20 + 200 * high + 180  # of which half is reached after all the low and 83 of the high ones
    assert 200 * low + 20 + 83 * (high + 1) < weight / 2 < 200 * low + 20 + 84 * (high + 1)
    share = (200 * low + 83 * high) / 283
    wanted = [
        (logit(share), logit((20 + 83 + share) / 284)),
        (logit(high), logit((97 + high) / 118) + 1e-3),
    ]
    assert np.allclose(fit_curve(scores, right, ones(400)), wanted)


def test_the_curve_rises_so_that_the_ranking_stays() -> None:
    rng = np.random.default_rng(2)
    curve = fit_curve(rng.normal(-1, 2, 4000), rng.random(4000) < 0.3, ones(4000))  # scores that tell nothing
    grid = np.linspace(-12, 12, 2000, dtype=np.float32)
    moved = log_odds(grid, curve)
    assert (np.diff(moved) >= 0).all()
    assert len(curve) > 2
    assert (np.diff(np.array(curve), axis=0) > 0.9e-3).all()
    scores = rng.normal(-1, 2, (20, 30)).astype(np.float32)
    candidates = np.tile(np.arange(30, dtype=np.int32), (20, 1))
    assert (
        take_top_k(scores, candidates, 5, 30)[0]
        == take_top_k(log_odds(scores, fit_curve(*planted(5000), ones(5000))), candidates, 5, 30)[0]
    ).all()


def test_padding_stays_infinitely_unlikely() -> None:
    moved = log_odds(np.array([-np.inf, 0.0], np.float32), fit_curve(*planted(5000), ones(5000)))
    assert moved[0] == -np.inf
    assert np.isfinite(moved[1])


def test_documents_count_by_their_weights() -> None:
    scores, right = planted(6000)
    right[3000:] = ~right[3000:]  # of these the curve would be another
    candidates = np.tile(np.arange(10, dtype=np.int32), (600, 1))
    Y = sp.csr_matrix(right.reshape(600, 10).astype(np.float32))
    plain = Combination("logistic", {"intercept": 0.0, "classifier": 1.0})
    table, weights = {"classifier": scores.reshape(600, 10).astype(np.float32)}, np.repeat([0.5, 0.0], 300)
    found = calibrated(plain, table, candidates, Y, weights.astype(np.float32)).curve
    wanted = fit_curve(table["classifier"][:300].ravel().astype(float), right[:3000], np.full(3000, 0.5))
    assert np.allclose(found, wanted)
    assert not np.allclose(log_odds(scores, found), log_odds(scores, fit_curve(scores, right, ones(6000))), atol=0.5)


@pytest.mark.parametrize(("rise", "above"), [(3.0, 5.0), (0.5, 1.5)])
def test_above_the_last_point_the_last_line_goes_on_but_never_steeper_than_the_scores(
    rise: float, above: float
) -> None:
    curve = ((0.0, 0.0), (1.0, rise))
    assert log_odds(np.array([-4, 0, 0.5, 1, 3], np.float32), curve).tolist() == [-4, 0, rise / 2, rise, above]


@pytest.mark.parametrize("size", [0, 5, 60])
def test_without_enough_labels_there_is_no_curve(size: int) -> None:
    assert fit_curve(*planted(size), ones(size)) == ()
    assert fit_curve(np.full(500, -3.0), np.zeros(500, bool), ones(500)) == ()


def test_a_combination_carries_its_curve_through_json() -> None:
    scores, right = planted(4000)
    plain = Combination("logistic", {"intercept": 0.0, "classifier": 1.0})
    candidates = np.tile(np.arange(10, dtype=np.int32), (400, 1))
    Y = sp.csr_matrix(right.reshape(400, 10).astype(np.float32))
    found = calibrated(
        plain, {"classifier": scores.reshape(400, 10).astype(np.float32)}, candidates, Y, np.ones(400, np.float32)
    )
    assert found.curve
    again = Combination(**replace(found, voters=7).to_json())
    assert again.voters == 7
    assert "voters" not in found.to_json()
    values = np.linspace(-5, 5, 9, dtype=np.float32)
    assert (log_odds(values, again.curve) == log_odds(values, found.curve)).all()
    assert "curve" not in plain.to_json()
