"""Prediction: shortlist, score the shortlisted labels in several ways, combine the scores.

`logistic` combines by logistic regression fitted on the validation documents' shortlists, so that the combined score is
a log-odds and its sigmoid a probability: beta has one coefficient for each score. `authors` adds the neighbour score
to the classifier's, each squashed by a sigmoid and divided by the document's largest (method notes, section 5), with
one beta chosen on validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from numba import get_num_threads, njit, prange
from sklearn.linear_model import LogisticRegression

from xmlcli.linear import score_linear
from xmlcli.metrics import Metric, evaluate_top_k, hit_matrix
from xmlcli.model import Classifiers

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

BETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
_BLOCK = 512
_NEAR_COPY = 0.5
_ENOUGH_NOVEL = 200
_GATHER_COST = 16  # gathering a label's row costs about as much as so many rows in one product


@dataclass(frozen=True)
class Predictor:
    """All that scores a shortlisted label.

    Attributes:
        classifiers: the dense part.
        frequencies: float32 (L,), training documents of each label.
        linear: float32 CSR (L, F + 1), or None.
        label_text: unit rows, float32 CSR (L, F), or None.
    """

    classifiers: Classifiers
    frequencies: Floats
    linear: sp.csr_matrix | None
    label_text: sp.csr_matrix | None

    def scores(
        self, X: sp.csr_matrix, documents: torch.Tensor, candidates: Ints, neighbour: Floats
    ) -> dict[str, Floats]:
        """Return name → score of each candidate, float32 (N, k).

        X: float32 CSR (N, F); documents: f(x), float32 (N, D); candidates: int32 (N, k), padded with L; neighbour:
        cosines, float32 (N, k).
        """
        L = len(self.frequencies)
        real = np.minimum(candidates, L - 1)
        found = {
            "classifier": _dense_scores(self.classifiers, documents, real),
            "neighbour": np.where(candidates < L, neighbour, 0).astype(np.float32),
            "frequency": np.log1p(self.frequencies)[real],
        }
        if self.linear is not None:
            found["linear"] = score_linear(X, self.linear, candidates)
        if self.label_text is not None:
            found["label_text"] = score_linear(X, self.label_text, candidates)
        return found


@torch.no_grad()
def _dense_scores(classifiers: Classifiers, documents: torch.Tensor, candidates: Ints) -> Floats:
    """Return the logits of the candidates, float32 (N, k)."""
    out = np.empty(candidates.shape, np.float32)
    num_labels = classifiers.weight.shape[0]
    everything = candidates.shape[1] * _GATHER_COST > num_labels
    for start in range(0, len(candidates), _BLOCK):
        labels = torch.from_numpy(candidates[start : start + _BLOCK].astype(np.int64)).to(documents.device)
        block = documents[start : start + _BLOCK]
        if everything:
            logits = (block @ classifiers.weight.T + classifiers.bias.T).gather(1, labels)
        else:
            logits = (classifiers.weight[labels] @ block[:, :, None])[:, :, 0] + classifiers.bias[labels][:, :, 0]
        out[start : start + _BLOCK] = logits.cpu().numpy()
    return out


@dataclass(frozen=True)
class Combination:
    """How the scores become one: `kind` logistic or authors, and its coefficients by name."""

    kind: str
    coefficients: Mapping[str, float]

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
        return {"kind": self.kind, "coefficients": dict(self.coefficients)}


DEFAULT = Combination(
    "logistic",
    {"intercept": -5.0, "classifier": 0.2, "neighbour": 3.0, "frequency": 0.3, "linear": 3.0, "label_text": 1.0},
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
    scale = np.maximum(table.std(axis=0), 1e-9)
    fitted = LogisticRegression(C=1e4, max_iter=500).fit(table / scale, right)
    coefficients = dict(zip(scores, (fitted.coef_[0] / scale).tolist(), strict=True))
    return Combination("logistic", {**coefficients, "intercept": float(fitted.intercept_[0])})


def novel_documents(X: sp.csr_matrix, X_train: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Mark the documents of which training holds no near copy, bool (N,); all of them where fewer than 200 are novel.

    X, X_train: float32 CSR with unit rows; a near copy has a cosine of 0.5 or more. A random validation split leaves
    copies of training documents in it (other volumes, other editions): a combination fitted on those trusts neighbours
    more than it should with documents that are new.
    """
    columns = X_train.tocsc()
    nearest = _nearest(
        X.indptr, X.indices, X.data, columns.indptr, columns.indices, columns.data, X_train.shape[0], get_num_threads()
    )
    novel: npt.NDArray[np.bool_] = nearest < _NEAR_COPY
    return novel if novel.sum() >= _ENOUGH_NOVEL else np.ones_like(novel)


@njit(parallel=True, cache=True, nogil=True)
def _nearest(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, offsets, rows, values, num_rows, num_threads
):
    """Return the largest product of each CSR row x (N, F) with a row of the CSC matrix (num_rows, F), float32 (N,)."""
    N = len(x_offsets) - 1
    found = np.zeros(N, np.float32)
    for thread in prange(num_threads):
        total = np.zeros(num_rows, np.float32)
        for i in range(thread, N, num_threads):
            total[:] = 0
            for p in range(x_offsets[i], x_offsets[i + 1]):
                for q in range(offsets[x_columns[p]], offsets[x_columns[p] + 1]):
                    total[rows[q]] += x_values[p] * values[q]
            found[i] = total.max()
    return found


def choose_beta(
    scores: Mapping[str, Floats], candidates: Ints, Y: sp.csr_matrix, inverse_propensity: Floats
) -> Combination:
    """Choose the beta of `BETAS` with the largest P@1 + P@3 + P@5 on validation."""
    metrics = [Metric("P", k) for k in (1, 3, 5)]
    best = (-1.0, BETAS[0])
    for beta in BETAS:
        found = Combination("authors", {"beta": beta})
        top = rank(found.combine(scores, candidates, Y.shape[1]), candidates, 5, Y.shape[1])
        best = max(best, (sum(evaluate_top_k(top, Y, inverse_propensity, metrics).values()), beta))
    return Combination("authors", {"beta": best[1]})


def relevance(candidates: Ints, Y: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Return whether each candidate int32 (N, k) is a label of its document in Y (N, L); False for padding.

    Y has sorted indices and no stored zero.
    """
    return hit_matrix(candidates, Y).astype(bool)


def rank(combined: Floats, candidates: Ints, k: int, num_labels: int) -> Ints:
    """Return the k candidates of the largest score, int32 (N, k), ties by lower label id, padded with L."""
    order = np.lexsort((candidates, -combined), axis=1)[:, :k]
    top = np.take_along_axis(candidates, order, axis=1)
    if top.shape[1] < k:
        top = np.pad(top, ((0, 0), (0, k - top.shape[1])), constant_values=num_labels)
    return top.astype(np.int32)
