"""How scores become one: coefficients fitted on the shortlists of validation documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import expit

from xmlcli.arrays import Bools, Doubles, Floats, Ints
from xmlcli.metrics import Metric, evaluate_top_k, hit_matrix
from xmlcli.prediction.combination import DEFAULT, PRODUCTS, Combination, score_or_product, take_top_k

BETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
_SHRINK = 1e-4  # of logistic regression, so that coefficients stay finite
_PRIOR = 0.3  # weight of squared coefficients beside losses of about 1 a label: a few dozen documents tell little
_FLAT = 1e-6  # standard deviation of a score that is as good as constant
_NEVER = -1e9  # the score of a label that is not there
_LEAST_GAIN = 0.01  # of what is minimised, by a score that costs time
_LEAST_SLOPE = 1e-3  # of the log-odds by the sum of scores, so that it never turns the ranking round


def fit_logistic(
    scores: Mapping[str, Floats], candidates: Ints, Y: sp.csr_matrix, weights: Floats | None = None, *,
    costly: str | None = None,
) -> Combination:  # fmt: skip
    """Fit coefficients that rank right labels above wrong ones, then the log-odds that a label is right.

    The coefficients minimise, over all right labels l of shortlists, -log(e^s_l / (e^s_l + sum_w e^s_w)), w the wrong
    labels of the same document: only differences within a document count, as in a ranking. Slope and intercept of the
    log-odds follow by logistic regression. Without both kinds of labels return DEFAULT. The score named `costly`
    gets a coefficient only where it pays.

    scores: name → float32 (N, k); candidates: int32 (N, k), padded with L; Y: CSR (N, L); weights: of the documents,
    float32 (N,), by default all alike.
    """
    there, right = candidates < Y.shape[1], hit_matrix(candidates, Y)
    if not right.any() or right[there].all():
        return DEFAULT
    weights = np.ones(len(candidates), np.float32) if weights is None else weights
    names = [*scores, *(name for name in PRODUCTS if set(name.split("*")) <= scores.keys())]
    ranking = _rank_right_first(scores, [name for name in names if name != costly], there, right, weights)
    if costly in scores:
        by_all = _rank_right_first(scores, names, there, right, weights, ranking)
        ranking = by_all if _pays(ranking.losses, by_all.losses) else ranking
    total = ranking.total[there]
    columns = np.column_stack([total, np.ones(len(total))])
    slope, intercept = logistic_regression(columns, right[there], np.broadcast_to(weights[:, None], there.shape)[there])
    slopes = {name: value * max(slope, _LEAST_SLOPE) for name, value in ranking.slopes.items()}
    return Combination("logistic", slopes | {"intercept": intercept})


@dataclass(frozen=True)
class _Ranking:
    """Coefficients that rank right labels first: by name; the sum (N, k) of the scores; the loss of each document."""

    slopes: dict[str, float]
    total: Doubles
    losses: Doubles


def _rank_right_first(
    scores: Mapping[str, Floats], names: Sequence[str], there: Bools, right: Bools,
    weights: Floats, start: _Ranking | None = None,
) -> _Ranking:  # fmt: skip
    """Find the coefficients of the scores `names`, from those of `start`, each score on a scale of its own."""
    table = np.stack([score_or_product(scores, name) for name in names], axis=-1).astype(np.float64)
    spread = table[there].std(axis=0)
    scale = np.where(spread > _FLAT, spread, 1.0)
    before = np.array([0.0 if start is None else start.slopes.get(name, 0.0) for name in names])
    slopes, losses = _minimise(table / scale, there, right, weights, before * scale)
    return _Ranking(dict(zip(names, (slopes / scale).tolist(), strict=True)), table @ (slopes / scale), losses)


def _pays(before: Doubles, after: Doubles) -> bool:
    """Whether the losses of documents fall by a hundredth in all, and by more than chance would have it.

    More is twice the standard error of their mean.
    """
    gain = before - after
    by_chance = 2 * float(np.square(gain - gain.sum() / max(len(gain), 1)).sum()) ** 0.5
    return bool(gain.sum() > max(_LEAST_GAIN * before.sum(), by_chance))


class _RankingLoss:
    """What `_minimise` minimises, over the documents that count, with its derivatives by the coefficients w (d,)."""

    def __init__(self, table: Doubles, there: Bools, right: Bools, importance: Doubles) -> None:
        """table: (N, k, d); there, right: (N, k); importance: (N, 1), of the documents."""
        self._table, self._there, self._right, self._importance = table, there, right, importance
        self._flat = table.reshape(-1, table.shape[-1])
        self._w: Doubles | None = None

    def losses(self, w: Doubles) -> Doubles:
        """Return the loss of each document, (N,)."""
        self._go_to(w)
        return np.asarray((self._importance * np.logaddexp(0, self._behind)).sum(axis=1))

    def value_and_gradient(self, w: Doubles) -> tuple[float, Doubles]:
        """Return the shrunk loss of all documents and its gradient (d,)."""
        self._go_to(w)
        p, q = self._chance, self._share
        gradient = (self._importance * (p.sum(axis=1, keepdims=True) * q - p)).ravel() @ self._flat
        value = (self._importance * np.logaddexp(0, self._behind)).sum() + 0.5 * _PRIOR * (w @ w)
        return float(value), gradient + _PRIOR * w

    def curvature(self, w: Doubles) -> Doubles:
        """Return the matrix of second derivatives, (d, d)."""
        self._go_to(w)
        p, q = self._chance, self._share
        from_mean = (self._table - np.matmul(q[:, None], self._table)).reshape(self._flat.shape)
        each = self._importance * (p * (1 - p) + p.sum(axis=1, keepdims=True) * q)
        return np.asarray((from_mean * each.reshape(-1, 1)).T @ from_mean + _PRIOR * np.eye(len(w)))

    def _go_to(self, w: Doubles) -> None:
        """Find, unless that is done, what value and derivatives at w are made of, (N, k) each.

        `_behind` is by how much each right label is behind the wrong ones, `_chance` that one of these goes before it,
        `_share` each wrong label's part of that.
        """
        if self._w is not None and np.array_equal(w, self._w):
            return
        s = np.where(self._there, (self._flat @ w).reshape(self._there.shape), _NEVER)
        wrong = np.where(self._right, _NEVER, s)
        largest = wrong.max(axis=1, keepdims=True)
        shares = np.exp(wrong - largest)
        total = shares.sum(axis=1, keepdims=True)
        self._behind = np.where(self._right, largest + np.log(total) - s, _NEVER)
        self._chance, self._share = expit(self._behind), shares / total
        self._w = w.copy()


def _minimise(
    table: Doubles, there: Bools, right: Bools, weights: Floats, start: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the coefficients (d,) of a table (N, k, d) that rank right labels first, by Newton's method from `start`.

    Squared coefficients count a little, so that they stay small where few documents tell. With them come the losses of
    the documents that count.
    """
    from scipy.optimize import minimize

    some = right.any(axis=1) & (weights > 0)
    loss = _RankingLoss(table[some], there[some], right[some], weights[some, None].astype(np.float64))
    options = {"gtol": 1e-3}
    coefficients = np.asarray(
        minimize(
            loss.value_and_gradient, start, jac=True, hess=loss.curvature, method="trust-exact", options=options
        ).x
    )
    return coefficients, loss.losses(coefficients)


def logistic_regression(table: Doubles, right: Bools, weights: npt.NDArray[np.floating[Any]]) -> list[float]:
    """Return the coefficients of logistic regression on the columns of a table (n, d), by Newton's method.

    weights: (n,), of the rows.

    A touch of shrinkage (none of the last column, which is constant) keeps them finite where a column decides alone.
    """
    from scipy.optimize import minimize

    signs, shrink = np.where(right, 1.0, -1.0), np.full(table.shape[1], _SHRINK)
    shrink[-1] = 0

    def probabilities(w: Doubles) -> Doubles:
        return np.asarray(expit(signs * (table @ w)))

    def loss(w: Doubles) -> tuple[float, Doubles]:
        p = probabilities(w)
        value = -(weights * np.log(np.maximum(p, 1e-300))).sum() + 0.5 * (shrink * w * w).sum()
        return value, table.T @ (weights * signs * (p - 1)) + shrink * w

    def curvature(w: Doubles) -> Doubles:
        p = probabilities(w)
        return (table * (weights * p * (1 - p))[:, None]).T @ table + np.diag(shrink)

    start = np.zeros(table.shape[1])
    coefficients = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-3}).x
    return [float(w) for w in coefficients]


def choose_beta(
    scores: Mapping[str, Floats], candidates: Ints, Y: sp.csr_matrix, inverse_propensity: Floats
) -> Combination:
    """Choose the beta of `BETAS` with the largest P@1 + P@3 + P@5 on validation."""
    metrics = [Metric("P", k) for k in (1, 3, 5)]
    best = (-1.0, BETAS[0])
    for beta in BETAS:
        combination = Combination("authors", {"beta": beta})
        top, _ = take_top_k(combination.combine(scores, candidates, Y.shape[1]), candidates, 5, Y.shape[1])
        best = max(best, (sum(evaluate_top_k(top, Y, inverse_propensity, metrics).values()), beta))
    return Combination("authors", {"beta": best[1]})
