"""Prediction: shortlist, score the shortlisted labels in several ways, combine the scores.

`logistic` combines by logistic regression fitted on the validation documents' shortlists, so that the combined score is
a log-odds and its sigmoid a probability: beta has one coefficient for each score. `authors` adds the neighbour score
to the classifier's, each squashed by a sigmoid and divided by the document's largest (method notes, section 5), with
one beta chosen on validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit
from scipy.special import expit

from xmlcli.compact import CompactRows
from xmlcli.linear import score_linear
from xmlcli.metrics import Metric, evaluate_top_k, hit_matrix
from xmlcli.products import chosen_products
from xmlcli.ranks import ALONE, Ranks
from xmlcli.threads import over_rows
from xmlcli.word_index import POSTINGS, add_postings, refresh, restore

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

Sparse: TypeAlias = sp.csr_matrix | CompactRows

BETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
_NEAR_COPY = 0.5
_ENOUGH_NOVEL = 200
_GATHER_COST = 16  # gathering a label's row costs about as much as so many rows in one product
_SHRINK = 1e-4
_FLAT = 1e-6  # standard deviation of a score that is as good as constant
_BLOCK = 1024
_GROUP = 6
_FEW_TO_SORT = 2048  # scores, which are sorted sooner than parted


@dataclass(frozen=True)
class Scores:
    """All that scores a shortlisted label.

    Attributes:
        weight: classifiers, float32 (L, D); bias: float32 (L,).
        Z: label embeddings, float32 (L, D) unit rows.
        frequencies: float32 (L,), training documents of each label.
        words: the labels' word centroids, float32 CSR (L, F), or None.
        linear: float32 CSR (L, F + 1), or None.
        label_text: unit rows, float32 CSR (L, F), or None.

    Each of the last three may also be compact.
    """

    weight: Floats
    bias: Floats
    Z: Floats
    frequencies: Floats
    words: Sparse | None
    linear: Sparse | None
    label_text: Sparse | None

    def __call__(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> dict[str, Floats]:
        """Return name → score of each candidate, float32 (N, k).

        X: float32 CSR (N, F); documents: f(x), float32 (N, D); candidates: int32 (N, k), padded with L.
        """
        real = np.minimum(candidates, len(self.frequencies) - 1)
        lengths = np.linalg.norm(documents, axis=1, keepdims=True)
        unit = (documents / np.maximum(lengths, 1e-12)).astype(np.float32)
        found = {
            "classifier": score_dense(documents, self.weight, candidates) + self.bias[real],
            "neighbour": score_dense(unit, self.Z, candidates),
            "frequency": np.log1p(self.frequencies)[real],
        }
        sparse = {"words": self.words, "linear": self.linear, "label_text": self.label_text}
        return found | {name: _score_sparse(X, W, candidates) for name, W in sparse.items() if W is not None}


def _score_sparse(X: sp.csr_matrix, W: Sparse, candidates: Ints) -> Floats:
    """Return the products of documents with their candidates' sparse rows, float32 (N, k)."""
    return W.score(X, candidates) if isinstance(W, CompactRows) else score_linear(X, W, candidates)


def score_dense(documents: Floats, W: Floats, candidates: Ints) -> Floats:
    """Return the product of each document's vector with its candidates' rows of W, float32 (N, k); 0 for padding.

    documents: float32 (N, D); W: float32 (L, D); candidates: int32 (N, k), padded with L.
    """
    N, k = candidates.shape
    if k * _GATHER_COST > W.shape[0]:
        padded = np.vstack([W, np.zeros((1, W.shape[1]), np.float32)])
        parts = [
            np.take_along_axis(documents[at : at + _BLOCK] @ padded.T, candidates[at : at + _BLOCK], axis=1)
            for at in range(0, N, _BLOCK)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, k), np.float32)
    return chosen_products(documents, W, candidates)


@dataclass(frozen=True)
class Combination:
    """How the scores become one, and that one a probability.

    Attributes:
        kind: logistic or authors.
        coefficients: by name.
        curve: ascending points (score, log-odds observed at such scores), from `xmlcli.calibration`; empty where the
            score of the logistic combination is taken as the log-odds.
    """

    kind: str
    coefficients: Mapping[str, float]
    curve: Sequence[Sequence[float]] = ()

    def combine(self, scores: Mapping[str, Floats], candidates: Ints, num_labels: int) -> Floats:
        """Return the combined score of each candidate, float32 (N, k), -inf for padding."""
        if self.kind == "logistic":
            total = np.full(candidates.shape, self.coefficients["intercept"], np.float32)
            for name, score in scores.items():
                total += np.float32(self.coefficients[name]) * score
        else:
            beta = self.coefficients["beta"]
            there = candidates < num_labels
            total = beta * _relative(scores["classifier"], there) + (1 - beta) * _relative(scores["neighbour"], there)
        return np.where(candidates < num_labels, total, -np.inf).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return what `Combination(**…)` takes."""
        found = {"kind": self.kind, "coefficients": dict(self.coefficients)}
        return found | ({"curve": [list(point) for point in self.curve]} if self.curve else {})


DEFAULT = Combination(
    "logistic",
    dict(intercept=-4.0, classifier=0.2, neighbour=1.5, frequency=0.3, words=3.0, linear=3.0, label_text=1.0),
)
"""Used where there is no validation document to fit on: typical coefficients of text collections."""


def _relative(score: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    """Return sigmoid(score) divided by its largest in the row; 0 for padding."""
    squashed = np.where(there, 1 / (1 + np.exp(-score)), 0)
    return np.asarray(squashed / np.maximum(squashed.max(axis=1, keepdims=True), 1e-12), np.float32)


def fit_logistic(scores: Mapping[str, Floats], candidates: Ints, Y: sp.csr_matrix) -> Combination:
    """Fit the log-odds that a shortlisted label is right; without both kinds of labels return DEFAULT.

    scores: name → float32 (N, k); candidates: int32 (N, k), padded with L; Y: CSR (N, L).
    """
    there = candidates < Y.shape[1]
    right = relevance(candidates, Y)[there]
    if not right.any() or right.all():
        return DEFAULT
    table = np.column_stack([score[there] for score in scores.values()]).astype(np.float64)
    spread = table.std(axis=0)
    scale = np.where(spread > _FLAT, spread, 1.0)
    *slopes, intercept = _logistic(np.column_stack([table / scale, np.ones(len(table))]), right)
    coefficients = {name: slope / s for name, slope, s in zip(scores, slopes, scale.tolist(), strict=True)}
    return Combination("logistic", {**coefficients, "intercept": intercept})


def _logistic(table: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> list[float]:
    """Return the coefficients of logistic regression on the columns of a table (n, d), by Newton's method.

    A touch of shrinkage (none of the last column, which is constant) keeps them finite where a column decides alone.
    """
    from scipy.optimize import minimize

    signs, shrink = np.where(right, 1.0, -1.0), np.full(table.shape[1], _SHRINK)
    shrink[-1] = 0

    def probabilities(w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(expit(signs * (table @ w)))

    def loss(w: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        p = probabilities(w)
        value = -np.log(np.maximum(p, 1e-300)).sum() + 0.5 * (shrink * w * w).sum()
        return value, table.T @ (signs * (p - 1)) + shrink * w

    def curvature(w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        p = probabilities(w)
        return (table * (p * (1 - p))[:, None]).T @ table + np.diag(shrink)

    start = np.zeros(table.shape[1])
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-3})
    return [float(w) for w in found.x]


def novel_documents(X: sp.csr_matrix, X_train: sp.csr_matrix, ranks: Ranks = ALONE) -> npt.NDArray[np.bool_]:
    """Mark the documents of which training holds no near copy, bool (N,); all of them where fewer than 200 are novel.

    X, X_train: float32 CSR with unit rows; a near copy has a cosine of 0.5 or more. A random validation split leaves
    copies of training documents in it (other volumes, other editions): a combination fitted on those trusts neighbours
    more than it should with documents that are new. Of several ranks each gives its training documents.
    """
    columns, nearest = X_train.tocsc(), np.zeros(X.shape[0], np.float32)
    lengths = ranks.sum(np.diff(columns.indptr).astype(np.int64))

    def kernel(first: int, last: int) -> None:
        _nearest(
            X.indptr, X.indices, X.data, columns.indptr, columns.indices, columns.data, lengths, X_train.shape[0],
            first, last, nearest,
        )  # fmt: skip

    over_rows(X.shape[0], kernel)
    novel: npt.NDArray[np.bool_] = ranks.largest(nearest) < _NEAR_COPY
    return novel if novel.sum() >= _ENOUGH_NOVEL else np.ones_like(novel)


@njit(cache=True, nogil=True)
def _nearest(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, offsets, rows, values, lengths, num_rows, first, last, found
):
    """Write the largest product of CSR rows first, …, last - 1 with a row of the CSC matrix (num_rows, F).

    A row's most frequent words are left out as in a search by words.
    """
    num_groups = ((num_rows - 1) >> _GROUP) + 1
    nothing, none_best = np.zeros(num_rows, np.float32), np.zeros(num_groups, np.float32)
    total, best, touched = nothing.copy(), none_best.copy(), np.zeros(num_groups, np.bool_)
    for i in range(first, last):
        at, end = x_offsets[i], x_offsets[i + 1]
        add_postings(
            x_columns[at:end], x_values[at:end], offsets, rows, values, lengths, POSTINGS, total, touched, _GROUP
        )
        refresh(total, touched, _GROUP, best)
        found[i] = best.max()
        restore(nothing, none_best, touched, _GROUP, total, best)


def choose_beta(
    scores: Mapping[str, Floats], candidates: Ints, Y: sp.csr_matrix, inverse_propensity: Floats
) -> Combination:
    """Choose the beta of `BETAS` with the largest P@1 + P@3 + P@5 on validation."""
    metrics = [Metric("P", k) for k in (1, 3, 5)]
    best = (-1.0, BETAS[0])
    for beta in BETAS:
        found = Combination("authors", {"beta": beta})
        top, _ = rank(found.combine(scores, candidates, Y.shape[1]), candidates, 5, Y.shape[1])
        best = max(best, (sum(evaluate_top_k(top, Y, inverse_propensity, metrics).values()), beta))
    return Combination("authors", {"beta": best[1]})


def relevance(candidates: Ints, Y: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Return whether each candidate int32 (N, k) is a label of its document in Y (N, L); False for padding.

    Y has sorted indices and no stored zero.
    """
    return hit_matrix(candidates, Y).astype(bool)


def rank(combined: Floats, candidates: Ints, k: int, num_labels: int) -> tuple[Ints, Floats]:
    """Return the k candidates of the largest score, ties by lower label id, and their scores.

    Both are (N, k), int32 padded with L and float32 padded with -inf.
    """
    if (
        4 * k < combined.shape[1] and combined.size > _FEW_TO_SORT
    ):  # with all candidates as good as the k-th kept, ties stay in
        least = -np.partition(-combined, k - 1, axis=1)[:, k - 1 : k]
        width = int((combined >= least).sum(axis=1).max(initial=k))
        chosen = np.argpartition(-combined, width - 1, axis=1)[:, :width]
        combined, candidates = np.take_along_axis(combined, chosen, 1), np.take_along_axis(candidates, chosen, 1)
    order = np.lexsort((candidates, -combined), axis=1)[:, :k]
    top, best = np.take_along_axis(candidates, order, axis=1), np.take_along_axis(combined, order, axis=1)
    if top.shape[1] < k:
        missing = ((0, 0), (0, k - top.shape[1]))
        top = np.pad(top, missing, constant_values=num_labels)
        best = np.pad(best, missing, constant_values=-np.inf)
    return top.astype(np.int32), best.astype(np.float32)
