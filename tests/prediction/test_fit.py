"""Combinations are fitted: on planted data, against loops and against scikit-learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from support.scored_shortlists import K, L, N, candidates_with_padding, random_scores

from xmlcli.prediction.combination import DEFAULT, PRODUCTS, Combination, take_top_k
from xmlcli.prediction.fit import _PRIOR, BETAS, _minimise, choose_beta, fit_logistic, logistic_regression

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


def test_the_fit_finds_planted_coefficients() -> None:
    rng = np.random.default_rng(0)
    n, num_labels = 4000, 5
    candidates = np.tile(np.arange(num_labels, dtype=np.int32), (n, 1))
    candidates[::3, -1] = num_labels
    a, b = (rng.standard_normal((n, num_labels)).astype(np.float32) * scale for scale in (1.0, 10.0))
    a[candidates == num_labels] = 1e6  # what stands in padding must not matter
    log_odds = 1.5 * a - 0.2 * b - 0.7
    true = (rng.random((n, num_labels)) < 1 / (1 + np.exp(-log_odds))) & (candidates < num_labels)
    found = fit_logistic({"a": a, "b": b}, candidates, sp.csr_matrix(true.astype(np.float32)))
    assert found.kind == "logistic"
    assert found.coefficients["a"] == pytest.approx(1.5, abs=0.1)
    assert found.coefficients["b"] == pytest.approx(-0.2, abs=0.02)
    assert found.coefficients["intercept"] == pytest.approx(-0.7, abs=0.1)


@pytest.mark.parametrize("truth", ["none", "all", "no documents"])
def test_without_both_kinds_of_labels_the_default_stands(truth: str) -> None:
    rows = 0 if truth == "no documents" else N
    candidates = np.tile(np.arange(4, dtype=np.int32), (rows, 1))
    Y = sp.csr_matrix(np.full((rows, 4), truth == "all", np.float32))
    assert fit_logistic({"a": np.zeros((rows, 4), np.float32)}, candidates, Y) is DEFAULT


def loss_by_loops(table: npt.NDArray[np.float64], there: Ints, right: Ints, weights: Floats, w: list[float]) -> float:
    total = 0.5 * _PRIOR * float(np.square(w).sum())
    for i in range(len(table)):
        s = table[i] @ w
        wrong = [np.exp(s[j]) for j in range(len(s)) if there[i, j] and not right[i, j]]
        for j in np.flatnonzero(right[i]):
            total -= weights[i] * np.log(np.exp(s[j]) / (np.exp(s[j]) + sum(wrong)))
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_ranking_has_the_least_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, there = rng.normal(size=(40, 6, 3)), rng.random((40, 6)) < 0.8
    right = there & (rng.random((40, 6)) < expit(table @ [1.0, -0.5, 0.0] - 1))
    right[0], right[1], there[2] = False, there[1], False  # no right label, only right ones, no label at all
    right[2] = False
    weights = rng.random(40).astype(np.float32)
    weights[4] = 0
    start = rng.normal(size=3)
    found, losses = _minimise(table, there, right, weights, start)
    least = loss_by_loops(table, there, right, weights, found)
    assert losses.sum() == pytest.approx(least - 0.5 * _PRIOR * float(found @ found))
    assert np.allclose(found, _minimise(table, there, right, weights, np.zeros(3))[0], atol=1e-3)
    assert least < loss_by_loops(table, there, right, weights, [0.0, 0.0, 0.0])
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 0.02:
        assert loss_by_loops(table, there, right, weights, found + step) > least


def test_where_scores_mislead_between_documents_the_ranking_within_them_stays() -> None:
    """Documents of high scores have few right labels, yet within each document right ones score higher."""
    rng = np.random.default_rng(3)
    candidates = np.tile(np.arange(5, dtype=np.int32), (600, 1))
    high = (np.arange(600) < 300)[:, None]
    right = rng.random((600, 5)) < np.where(high, 0.1, 0.8)
    right[:, 0], right[:, 1] = True, False
    a = (np.where(high, 5, -5) + right + 0.3 * rng.standard_normal((600, 5))).astype(np.float32)
    found = fit_logistic({"a": a}, candidates, sp.csr_matrix(right.astype(np.float32)))
    assert found.coefficients["a"] > 0
    combined = found.combine({"a": a}, candidates, 5)
    assert (np.argsort(combined, axis=1) == np.argsort(a, axis=1)).all()


@pytest.mark.parametrize(("worth", "kept"), [(0.0, False), (0.15, False), (1.0, True)])  # .15 is sure, and too little
def test_a_costly_score_counts_only_where_it_pays(worth: float, kept: bool) -> None:
    rng = np.random.default_rng(0)
    candidates = np.tile(np.arange(5, dtype=np.int32), (4000, 1))
    a, b = (rng.standard_normal((4000, 5)).astype(np.float32) for _ in range(2))
    Y = sp.csr_matrix((rng.random((4000, 5)) < expit(a + worth * b - 1)).astype(np.float32))
    found = fit_logistic({"a": a, "b": b}, candidates, Y, costly="b")
    assert found.uses("b") == kept
    without, with_it = (fit_logistic(scores, candidates, Y) for scores in ({"a": a}, {"a": a, "b": b}))
    wanted = (with_it if kept else without).coefficients
    assert found.coefficients == pytest.approx(wanted, abs=1e-3)
    assert np.isfinite(found.combine({"a": a, "b": b}, candidates, 5)).all()


def test_a_gain_that_luck_explains_does_not_pay() -> None:
    rng = np.random.default_rng(0)
    candidates = np.tile(np.arange(5, dtype=np.int32), (20, 1))
    paid = 0
    for _ in range(50):
        a, b = (rng.standard_normal((20, 5)).astype(np.float32) for _ in range(2))
        Y = sp.csr_matrix((rng.random((20, 5)) < expit(a - 1)).astype(np.float32))
        paid += fit_logistic({"a": a, "b": b}, candidates, Y, costly="b").uses("b")
    assert paid <= 5


def test_what_counts_nothing_is_not_fitted_to() -> None:
    rng = np.random.default_rng(1)
    candidates = np.tile(np.arange(5, dtype=np.int32), (400, 1))
    a = rng.standard_normal((400, 5)).astype(np.float32)
    signs = np.where(np.arange(400) < 200, 1, -1)[:, None]
    Y = sp.csr_matrix((rng.random((400, 5)) < expit(3 * signs * a)).astype(np.float32))
    for sign in (1, -1):
        found = fit_logistic({"a": a}, candidates, Y, (signs[:, 0] == sign).astype(np.float32))
        assert sign * found.coefficients["a"] > 2


def test_a_score_that_tells_less_of_frequent_labels_gets_its_product_with_frequency() -> None:
    rng = np.random.default_rng(2)
    candidates = np.tile(np.arange(6, dtype=np.int32), (3000, 1))
    frequency = np.tile(np.linspace(1, 6, 6, dtype=np.float32), (3000, 1))
    linear = rng.standard_normal((3000, 6)).astype(np.float32)
    true = rng.random((3000, 6)) < expit((3 - 0.4 * frequency) * linear - 1)
    found = fit_logistic({"linear": linear, "frequency": frequency}, candidates, sp.csr_matrix(true.astype(np.float32)))
    assert found.coefficients.keys() == {"linear", "frequency", "linear*frequency", "intercept"}
    assert "linear*frequency" in PRODUCTS
    assert found.coefficients["linear"] == pytest.approx(3, abs=0.3)
    assert found.coefficients["linear*frequency"] == pytest.approx(-0.4, abs=0.06)


@pytest.mark.parametrize(("right", "wrong"), [("classifier", "neighbour"), ("neighbour", "classifier")])
def test_beta_goes_to_the_score_that_ranks_validation_right(right: str, wrong: str) -> None:
    rng = np.random.default_rng(0)
    Y = (rng.random((N, L)) < 0.2).astype(np.float32)
    candidates = np.tile(np.arange(L, dtype=np.int32), (N, 1))
    scores = {right: 4 * Y - 2, wrong: rng.standard_normal((N, L)).astype(np.float32) - 4 * Y}
    found = choose_beta(scores, candidates, sp.csr_matrix(Y), np.ones(L, np.float32)).coefficients["beta"]
    assert found >= 0.75 if right == "classifier" else found <= 0.5


def test_beta_is_the_best_of_all_tried() -> None:
    rng = np.random.default_rng(5)
    Y = (rng.random((N, L)) < 0.2).astype(np.float32)
    candidates = candidates_with_padding()
    noise = random_scores(6, "classifier", "neighbour")
    gathered = np.take_along_axis(np.column_stack([Y, np.zeros(N)]), candidates, axis=1)
    scores = {name: (value + gathered).astype(np.float32) for name, value in noise.items()}

    def quality(beta: float) -> float:
        combined = Combination("authors", {"beta": beta}).combine(scores, candidates, L)
        top, _ = take_top_k(combined, candidates, 5, L)
        hits = np.take_along_axis(np.column_stack([Y, np.zeros(N)]), top, axis=1)
        return sum(float(hits[:, :k].mean()) for k in (1, 3, 5))

    found = choose_beta(scores, candidates, sp.csr_matrix(Y), np.ones(L, np.float32)).coefficients["beta"]
    assert quality(found) == pytest.approx(max(quality(beta) for beta in BETAS))


def test_beta_without_validation_documents_is_still_one_of_those_tried() -> None:
    empty = {name: np.zeros((0, K), np.float32) for name in ("classifier", "neighbour")}
    found = choose_beta(
        empty, np.zeros((0, K), np.int32), sp.csr_matrix((0, L), dtype=np.float32), np.ones(L, np.float32)
    )
    assert found.coefficients["beta"] in BETAS


@pytest.mark.parametrize("seed", range(3))
def test_logistic_regression_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.column_stack([rng.normal(size=(500, 3)), np.ones(500)])
    right = rng.random(500) < 1 / (1 + np.exp(-(table @ [2.0, -1.0, 0.0, -1.5])))
    reference = LogisticRegression(C=1e4, tol=1e-10, solver="newton-cholesky").fit(table[:, :3], right)
    wanted = [*reference.coef_[0], *reference.intercept_]
    assert np.allclose(logistic_regression(table, right, np.ones(500)), wanted, atol=1e-4)


def test_logistic_regression_on_a_column_that_decides_alone_stays_finite() -> None:
    column = np.array([-2.0, -1.0, 1.0, 2.0])
    found = logistic_regression(np.column_stack([column, np.ones(4)]), column > 0, np.ones(4))
    assert np.isfinite(found).all()
    assert found[0] > 3


def test_a_score_that_is_the_same_everywhere_hinders_nothing() -> None:
    candidates = np.array([[0, 1], [0, 1]], np.int32)
    scores = {"words": np.array([[1, 0], [0, 1]], np.float32), "frequency": np.full((2, 2), 3, np.float32)}
    found = fit_logistic(scores, candidates, sp.csr_matrix(np.eye(2, dtype=np.float32)))
    combined = found.combine(scores, candidates, 2)
    assert (combined[[0, 1], [0, 1]] > 1).all()
    assert (combined[[0, 1], [1, 0]] < -1).all()
