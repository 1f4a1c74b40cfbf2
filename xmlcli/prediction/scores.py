"""Prediction: score the shortlisted labels in several ways, combine the scores, rank.

`logistic` adds the scores up, each with a coefficient, and products of two of them, such that the sum is a log-odds and
its sigmoid a probability. `authors` adds the neighbour score to the classifier's, each squashed by a sigmoid and
divided by the document's largest (method notes, section 5), with one beta. `fit` finds the coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.kernels.products import Table, chosen_products, unit_rows
from xmlcli.kernels.quantised import CompactRows
from xmlcli.kernels.row_scores import SparseRows, score_rows
from xmlcli.kernels.top_k import sort_rows
from xmlcli.machine.threads import over_rows

Sparse: TypeAlias = sp.csr_matrix | CompactRows

VOTES = "votes"
"""The score of training documents that vote."""
PRODUCTS = ("classifier*frequency", "linear*frequency")
"""Products of two scores that the logistic combination may hold: a score tells more of a rare label than of a frequent
one, whose scores spread wider."""


@dataclass(frozen=True)
class Scores:
    """All that scores a shortlisted label.

    Attributes:
        weight: classifiers, (L, D); bias: float32 (L,).
        Z: label embeddings, (L, D) unit rows.
        frequencies: float32 (L,), training documents of each label.
        linear: float32 CSR (L, F + 1), or None.
        label_text: unit rows, float32 CSR (L, F), or None.

    Each of the last two may be compact too.
    """

    weight: Table
    bias: Floats
    Z: Table
    frequencies: Floats
    linear: Sparse | None
    label_text: Sparse | None

    @property
    def names(self) -> list[str]:
        """The scores' names, in order."""
        sparse = {"linear": self.linear, "label_text": self.label_text}
        return ["classifier", "neighbour", "frequency", *(name for name, W in sparse.items() if W is not None)]

    def __call__(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> dict[str, Floats]:
        """Return name → score of each candidate, float32 (N, k).

        X: float32 CSR (N, F); documents: f(x), float32 (N, D); candidates: int32 (N, k), padded with L.
        """
        real = np.minimum(candidates, len(self.frequencies) - 1)
        found = {
            "classifier": chosen_products(documents, self.weight, candidates) + self.bias[real],
            "neighbour": chosen_products(unit_rows(documents), self.Z, candidates),
            "frequency": np.log1p(self.frequencies)[real],
        }
        sparse = {"linear": self.linear, "label_text": self.label_text}
        return found | {name: _score_sparse(X, W, candidates) for name, W in sparse.items() if W is not None}


def _score_sparse(X: sp.csr_matrix, W: Sparse, candidates: Ints) -> Floats:
    """Return the products of documents with their candidates' sparse rows, float32 (N, k)."""
    return score_rows(X, W.rows() if isinstance(W, CompactRows) else SparseRows.of(W), candidates)


@dataclass(frozen=True)
class Combination:
    """How the scores become one, and that one a probability.

    Attributes:
        kind: logistic or authors.
        coefficients: by name.
        curve: ascending points (score, log-odds observed at such scores), from `calibration`; empty where the
            score of the logistic combination is taken as the log-odds.
        voters: how many training documents vote.
    """

    kind: str
    coefficients: Mapping[str, float]
    curve: Sequence[Sequence[float]] = ()
    voters: int = 0

    def combine(self, scores: Mapping[str, Floats], candidates: Ints, num_labels: int) -> Floats:
        """Return the combined score of each candidate, float32 (N, k), -inf for padding.

        Scores without a coefficient do not count.
        """
        if self.kind == "logistic":
            total = np.full(candidates.shape, self.coefficients["intercept"], np.float32)
            for name in (name for name in (*scores, *PRODUCTS) if name in self.coefficients):
                total += np.float32(self.coefficients[name]) * value(scores, name)
        else:
            beta = self.coefficients["beta"]
            there = candidates < num_labels
            total = beta * _relative(scores["classifier"], there) + (1 - beta) * _relative(scores["neighbour"], there)
        return np.where(candidates < num_labels, total, -np.inf).astype(np.float32)

    def uses(self, name: str) -> bool:
        """Whether a score counts."""
        return name in self.coefficients

    def to_json(self) -> dict[str, Any]:
        """Return what `Combination(**…)` takes."""
        found: dict[str, Any] = {"kind": self.kind, "coefficients": dict(self.coefficients)}
        found |= {"curve": [list(point) for point in self.curve]} if self.curve else {}
        return found | ({"voters": self.voters} if self.voters else {})


def value(scores: Mapping[str, Floats], name: str) -> Floats:
    """Return a score, or the product of two that `PRODUCTS` names."""
    if name in scores:
        return scores[name]
    one, other = name.split("*")
    return scores[one] * scores[other]


DEFAULT = Combination(
    "logistic",
    dict(intercept=-4.0, classifier=0.2, neighbour=1.5, frequency=0.3, search=3.0, linear=3.0, label_text=1.0),
)
"""Used where there is no validation document to fit on: typical coefficients of text collections."""


def _relative(score: Floats, there: npt.NDArray[np.bool_]) -> Floats:
    """Return sigmoid(score) divided by its largest in the row; 0 for padding."""
    squashed = np.where(there, 1 / (1 + np.exp(-score)), 0)
    return np.asarray(squashed / np.maximum(squashed.max(axis=1, keepdims=True), 1e-12), np.float32)


def rank(combined: Floats, candidates: Ints, k: int, num_labels: int) -> tuple[Ints, Floats]:
    """Return the k candidates of the largest score, ties by lower label id, and their scores.

    Both are (N, k), int32 padded with L and float32 padded with -inf.
    """
    found = min(k, combined.shape[1])
    top = np.full((len(combined), k), num_labels, np.int32)
    best = np.full((len(combined), k), -np.inf, np.float32)
    over_rows(
        len(combined),
        lambda first, last: sort_rows(candidates, combined, first, last, top[:, :found], best[:, :found]),
        cost=100 * combined.shape[1],
    )
    return top, best
