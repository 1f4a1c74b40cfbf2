"""Prediction without torch: encode documents, shortlist labels, score and rank them.

The same code fits the combination of scores, measures a model and serves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import erf

from xmlcli.arrays import Floats, Ints
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.products import Table, sparse_product, unit_rows
from xmlcli.machine.threads import over_rows
from xmlcli.prediction.scores import VOTES, Combination, Scores, rank
from xmlcli.prediction.sharded_scores import ShardedScores
from xmlcli.prediction.votes import Voters
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import Index

_BLOCK = 16_384


@dataclass(frozen=True)
class DocumentEncoder:
    """The encoder of `xmlcli.encoder.encoder` for prediction: f(x) = z + relu(W z + b) with z = act(sum_t x_t E_t).

    Attributes:
        tokens: E, (F, D).
        residual: W divided by its spectral norm, float32 (D, D), and b, float32 (D,), or None.
        activation: gelu or relu.
    """

    tokens: Table
    residual: tuple[Floats, Floats] | None
    activation: str

    @staticmethod
    def of(tensors: Mapping[str, npt.NDArray[np.float32]], activation: str) -> DocumentEncoder:
        """Take the encoder out of `Model.tensors`, as arrays."""
        residual = None
        if "encoder.residual.weight" in tensors:
            W, u, v = (tensors[f"encoder.residual.{name}"] for name in ("weight", "u", "v"))
            residual = ((W / (u @ W @ v)).astype(np.float32), tensors["encoder.residual.bias"])
        return DocumentEncoder(tensors["encoder.tokens"], residual, activation)

    def __call__(self, X: sp.csr_matrix) -> Floats:
        """Return f(x) of X float32 CSR (N, F): float32 (N, D)."""
        z = sparse_product(X, self.tokens)
        over_rows(len(z), lambda first, last: self._activate(z[first:last]), cost=100 * z.shape[1])
        if self.residual is None:
            return z
        W, b = self.residual
        found = z @ W.T
        found += b
        np.maximum(found, 0, out=found)
        found += z
        return found

    def unit(self, X: sp.csr_matrix) -> Floats:
        """Return f(x) scaled to unit length, float32 (N, D); zero rows stay zero.

        X: float32 CSR (N, F), of so many documents as there may be.
        """
        found = np.empty((X.shape[0], self.tokens.shape[1]), np.float32)
        for start in range(0, X.shape[0], _BLOCK):
            found[start : start + _BLOCK] = unit_rows(self(X[start : start + _BLOCK]))
        return found

    def _activate(self, bags: Floats) -> None:
        """Apply act to bags (n, D), in place."""
        if self.activation == "relu":
            np.maximum(bags, 0, out=bags)
        else:
            bags *= 0.5 + 0.5 * erf(bags * np.float32(0.5**0.5))


@dataclass(frozen=True)
class Engine:
    """A trained model, ready to predict.

    Attributes:
        size: labels on a document's shortlist.
        combination: how their scores become one; None before it is fitted.
        voters: training documents that vote, or None.
        ranks: of several ranks each is given its documents.
    """

    encoder: DocumentEncoder
    index: Index
    scores: Scores | ShardedScores
    size: int
    combination: Combination | None = None
    voters: Voters | None = None
    ranks: Ranks = ALONE

    def score(self, X: sp.csr_matrix, *, progress: Progress = silent) -> tuple[Ints, dict[str, Floats]]:
        """Return the shortlists of X float32 CSR (N, F) and the scores on them, the search's own among them.

        The shortlists are int32 (N, size), padded with L; the scores name → float32 (N, size).
        """
        documents = self.encoder(X)
        unit = unit_rows(documents)
        candidates, near = self.index.search(unit, self.size, X=X, progress=progress)
        found = {"search": np.where(candidates < len(self.scores.frequencies), near, np.float32(0))}
        found |= self.scores(X, documents, candidates)
        if self.voters is not None:
            found[VOTES] = self.voters(X, unit, candidates)
        return candidates, found

    def rank(self, X: sp.csr_matrix, k: int, *, progress: Progress = silent) -> tuple[Ints, Floats]:
        """Return the k best labels of each document, int32 (N, k), padded with L, and their scores float32 (N, k).

        With the logistic combination a score is the log-odds that the label is right; padding scores -inf.
        """
        assert self.combination is not None, "the combination has been fitted"
        num_labels = len(self.scores.frequencies)
        labels = np.full((X.shape[0], k), num_labels, np.int32)
        best = np.full((X.shape[0], k), -np.inf, np.float32)
        for block in self.ranks.blocks(X.shape[0], _BLOCK):
            candidates, scores = self.score(X if X.shape[0] <= _BLOCK else X[block])
            combined = self.combination.combine(scores, candidates, num_labels)
            labels[block], best[block] = rank(combined, candidates, k, num_labels)
            progress("predict", block.stop, X.shape[0])
        return labels, best
