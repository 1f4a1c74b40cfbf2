"""Combinations against loops, rankings against sorting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.scored_shortlists import K, L, N, candidates_with_padding, random_scores

from xmlcli.prediction.combination import DEFAULT, Combination, take_top_k


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_the_authors_combination_is_their_formula(beta: float) -> None:
    scores, candidates = random_scores(1, "classifier", "neighbour"), candidates_with_padding()
    found = Combination("authors", {"beta": beta}).combine(scores, candidates, L)
    assert found.dtype == np.float32
    for i in range(N):
        real = [j for j in range(K) if candidates[i, j] < L]
        a, b = ([1 / (1 + math.exp(-scores[n][i, j])) for j in real] for n in ("classifier", "neighbour"))
        wanted = [beta * p / max(a) + (1 - beta) * q / max(b) for p, q in zip(a, b, strict=True)]
        assert np.allclose(found[i, real], wanted, atol=1e-6)
        assert np.isneginf(np.delete(found[i], real)).all()


def test_the_logistic_combination_is_a_weighted_sum() -> None:
    scores, candidates = random_scores(2, "a", "b"), candidates_with_padding()
    combination = Combination("logistic", {"a": 2.0, "b": -0.5, "intercept": 1.0})
    found = combination.combine(scores, candidates, L)
    there = candidates < L
    assert np.allclose(found[there], (1 + 2 * scores["a"] - 0.5 * scores["b"])[there], atol=1e-6)
    assert np.isneginf(found[~there]).all()
    assert Combination(**combination.to_json()) == combination


def test_products_of_two_scores_are_scores_too() -> None:
    scores, candidates = random_scores(4, "linear", "frequency"), candidates_with_padding()
    plain = {"linear": 2.0, "frequency": -1.0, "intercept": 0.5}
    found = Combination("logistic", plain | {"linear*frequency": -0.25}).combine(scores, candidates, L)
    wanted = 0.5 + 2 * scores["linear"] - scores["frequency"] - 0.25 * scores["linear"] * scores["frequency"]
    there = candidates < L
    assert np.allclose(found[there], wanted[there], atol=1e-6)
    assert not np.allclose(found[there], Combination("logistic", plain).combine(scores, candidates, L)[there], atol=0.1)


def test_padding_is_never_ranked_before_a_label() -> None:
    candidates = candidates_with_padding()
    scores = {name: np.full((N, K), -1e30, np.float32) for name in DEFAULT.coefficients if name != "intercept"}
    for combination in (DEFAULT, Combination("authors", {"beta": 0.5})):
        with np.errstate(over="ignore"):
            top, _ = take_top_k(combination.combine(scores, candidates, L), candidates, K, L)
        for i in range(N):
            real = candidates[i][candidates[i] < L]
            assert sorted(top[i, : len(real)]) == sorted(real)
            assert (top[i, len(real) :] == L).all()


def test_ranking_is_by_score_then_by_the_lower_label() -> None:
    candidates = np.array([[7, 2, 5, 1], [4, 0, 9, 9]], np.int32)
    combined = np.array([[0.5, 0.5, 0.9, 0.5], [-3.0, -3.0, -np.inf, -np.inf]], np.float32)
    top, best = take_top_k(combined, candidates, 3, 9)
    assert top.tolist() == [[5, 1, 2], [0, 4, 9]]
    assert best.tolist() == [[np.float32(0.9), 0.5, 0.5], [-3, -3, -np.inf]]
    wide, best = take_top_k(combined, candidates, 6, 9)
    assert wide.tolist() == [[5, 1, 2, 7, 9, 9], [0, 4, 9, 9, 9, 9]]
    assert best.tolist() == [[np.float32(0.9), 0.5, 0.5, 0.5, -np.inf, -np.inf], [-3, -3, *[-np.inf] * 4]]
    assert (wide.dtype, best.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize("k", [1, 3, 9, 10, 24])
@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_a_ranking_of_few_among_many_equals_sorting_all(k: int, levels: int) -> None:
    rng = np.random.default_rng(levels + k)
    candidates = np.argsort(rng.random((50, 40)), axis=1).astype(np.int32)
    combined = (rng.integers(0, levels, (50, 40)) / levels).astype(np.float32)
    padded = rng.random((50, 40)) < np.linspace(0, 1, 50)[:, None]  # from no padding to nothing else
    combined[padded], candidates[padded] = -np.inf, 40
    top, best = take_top_k(combined, candidates, k, 40)
    for i in range(50):
        wanted = sorted(zip(-combined[i], candidates[i], strict=True))[:k]
        assert top[i].tolist() == [label for _, label in wanted]
        assert best[i].tolist() == [-score for score, _ in wanted]


def test_nothing_to_rank_is_an_empty_ranking() -> None:
    for k in (1, 5):
        top, best = take_top_k(np.zeros((0, 12), np.float32), np.zeros((0, 12), np.int32), k, 20)
        assert top.shape == best.shape == (0, k)
