"""How a label's scores become one score and its log-odds, and the labels of a document a ranking.

`logistic` adds the scores up, each with a coefficient, and products of two of them, such that the sum is a log-odds and
its sigmoid a probability. `authors` adds the neighbour score to the classifier's, each squashed by a sigmoid and
divided by the document's largest (as in the authors' code), with one beta. `fit` finds the coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from xmlcli.arrays import Bools, Doubles, Floats, Ints
from xmlcli.errors import ArtifactError
from xmlcli.kernels.name_scores import NAME_SCORES
from xmlcli.kernels.top_k import sort_rows
from xmlcli.machine.threads import over_rows

PRODUCTS = ("classifier*frequency", "linear*frequency", "name_share*frequency", "text_share*frequency")
"""Products of two scores that the logistic combination may hold: a score tells more of a rare label than of a frequent
one, whose scores spread wider."""

_SCORES = (
    "intercept", "classifier", "neighbour", "frequency", "search", "linear", "label_text", "text_share", *NAME_SCORES,
    "votes", *PRODUCTS,
)  # fmt: skip
_SCORES_OF_UNSEEN = {"intercept", "search", "label_text", "text_share", *NAME_SCORES}
_KEYS_OF_UNSEEN = frozenset({"kind", "coefficients", "curve"})
_KEYS = _KEYS_OF_UNSEEN | {"voters", "unseen"}
_MOST = 1e6  # of a coefficient or a log-odds, beyond all that a fit finds


@dataclass(frozen=True)
class Combination:
    """How the scores become one, and that one a probability.

    Attributes:
        kind: logistic or authors.
        coefficients: by name.
        curve: ascending points (score, log-odds observed at such scores), from `calibration`; empty where the
            score of the logistic combination is taken as the log-odds.
        voters: how many training documents vote.
        unseen: how the scores of labels without training documents become one, or None where these are left out.
    """

    kind: str
    coefficients: Mapping[str, float]
    curve: Sequence[Sequence[float]] = ()
    voters: int = 0
    unseen: Combination | None = None

    def combine(self, scores: Mapping[str, Floats], candidates: Ints, num_labels: int) -> Floats:
        """Return the combined score of each candidate, float32 (N, k), -inf for padding.

        Scores without a coefficient do not count.
        """
        if self.kind == "logistic":
            total = np.full(candidates.shape, self.coefficients["intercept"], np.float32)
            for name in (name for name in (*scores, *PRODUCTS) if name in self.coefficients):
                total += np.float32(self.coefficients[name]) * score_or_product(scores, name)
        else:
            beta = self.coefficients["beta"]
            there = candidates < num_labels
            total = beta * _relative(scores["classifier"], there) + (1 - beta) * _relative(scores["neighbour"], there)
        return np.where(candidates < num_labels, total, -np.inf).astype(np.float32)

    def uses(self, name: str) -> bool:
        """Whether a score counts."""
        return name in self.coefficients

    def uses_names(self) -> bool:
        """Whether a score of the labels' names counts, of unseen labels too."""
        return any(map(self.uses, NAME_SCORES)) or (self.unseen is not None and self.unseen.uses_names())

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        values: dict[str, Any] = {"kind": self.kind, "coefficients": dict(self.coefficients)}
        values |= {"curve": [list(point) for point in self.curve]} if self.curve else {}
        values |= {"voters": self.voters} if self.voters else {}
        return values | ({"unseen": self.unseen.to_json()} if self.unseen is not None else {})

    @staticmethod
    def from_json(saved: object) -> Combination:
        """Undo `to_json`. Raises ArtifactError where that is no combination of scores that there are."""
        problem = _problem(saved)
        if problem is not None:
            raise ArtifactError("a combination of scores of unknown form", found=problem)
        assert isinstance(saved, Mapping)
        return Combination(**{**saved, "unseen": Combination(**saved["unseen"]) if "unseen" in saved else None})


def _problem(saved: object, keys: frozenset[str] = _KEYS) -> str | None:
    """Say what keeps a JSON value from being a `Combination` with some keys of these; None where nothing does."""
    if not isinstance(saved, Mapping) or not {"kind", "coefficients"} <= saved.keys() <= keys:
        return f"no mapping with kind and coefficients and of {', '.join(sorted(keys))} only"
    kind, coefficients = saved["kind"], saved["coefficients"]
    if not isinstance(coefficients, Mapping) or not all(map(_is_number, coefficients.values())):
        return "coefficients that are no numbers"
    if kind == "logistic":
        known = "intercept" in coefficients and coefficients.keys() <= {*_SCORES}
    else:
        known = kind == "authors" and coefficients.keys() == {"beta"} and 0 <= coefficients["beta"] <= 1
    if not known:
        return f"kind {str(kind)[:80]!r} with coefficients of other scores than it has"
    voters = saved.get("voters", 0)
    if type(voters) is not int or voters < 0:
        return f"voters {voters!r}"
    if "unseen" in saved:
        of_unseen = _problem(saved["unseen"], _KEYS_OF_UNSEEN)
        other = of_unseen is None and not saved["unseen"]["coefficients"].keys() <= _SCORES_OF_UNSEEN
        if of_unseen or other or kind != "logistic":
            return f"unseen labels with {of_unseen or 'other scores than they have'}"
    return _curve_problem(saved.get("curve", []))


def _curve_problem(curve: object) -> str | None:
    points = curve if isinstance(curve, list | tuple) else [None]
    if not all(isinstance(point, list | tuple) and len(point) == 2 and all(map(_is_number, point)) for point in points):
        return "a curve that is no list of points"
    if len(points) == 1:
        return "a curve of one point"
    for (x, y), (next_x, next_y) in pairwise(points):
        if not (next_x > x and next_y > y and math.isfinite((next_y - y) / (next_x - x))):
            return "a curve that does not rise"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and abs(value) <= _MOST  # false for NaN


def score_or_product(scores: Mapping[str, Floats], name: str) -> Floats:
    """Return a score, or the product of two that `PRODUCTS` names."""
    if name in scores:
        return scores[name]
    one, other = name.split("*")
    return scores[one] * scores[other]


DEFAULT = Combination(
    "logistic",
    dict(intercept=-4.0, classifier=0.2, neighbour=1.5, frequency=0.3, search=3.0, linear=3.0, label_text=1.0)
    | dict(name_rarity=0.05, name_weight=2.0),
)
"""Used where there is no validation document to fit on: typical coefficients of text collections."""


def _relative(score: Floats, there: Bools) -> Floats:
    """Return sigmoid(score) divided by its largest in the row; 0 for padding."""
    squashed = np.where(there, 1 / (1 + np.exp(-score)), 0)
    return np.asarray(squashed / np.maximum(squashed.max(axis=1, keepdims=True), 1e-12), np.float32)


def log_odds(scores: Floats, curve: Sequence[Sequence[float]]) -> Floats:
    """Return scores moved along the curve, float32; above it the last line goes on, below it a parallel of x = y."""
    if not curve:
        return scores
    x, y, slope = _points(curve)
    above, below = np.maximum(scores - x[-1], 0), np.minimum(scores - x[0], 0)
    return np.asarray(np.interp(scores, x, y) + slope * above + below, np.float32)


def scores_of(odds: Floats, curve: Sequence[Sequence[float]]) -> Floats:
    """Undo `log_odds`, float32."""
    if not curve:
        return odds
    x, y, slope = _points(curve)
    above, below = np.maximum(odds - y[-1], 0), np.minimum(odds - y[0], 0)
    return np.asarray(np.interp(odds, y, x) + above / slope + below, np.float32)


def _points(curve: Sequence[Sequence[float]]) -> tuple[Doubles, Doubles, float]:
    """Return the scores and the log-odds of a curve's points, and its slope above them, at most 1."""
    x, y = np.array(curve, np.float64).T
    return x, y, min((y[-1] - y[-2]) / (x[-1] - x[-2]), 1.0)


def take_top_k(combined: Floats, candidates: Ints, k: int, num_labels: int) -> tuple[Ints, Floats]:
    """Return the k candidates of the largest score, ties by lower label id, and their scores.

    Both are (N, k), int32 padded with L and float32 padded with -inf.
    """
    width = min(k, combined.shape[1])
    top = np.full((len(combined), k), num_labels, np.int32)
    best = np.full((len(combined), k), -np.inf, np.float32)
    over_rows(
        len(combined),
        lambda first, last: sort_rows(candidates, combined, first, last, top[:, :width], best[:, :width]),
        cost=100 * combined.shape[1],
    )
    return top, best
