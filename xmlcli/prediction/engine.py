"""Prediction without torch: encode documents, shortlist labels, score and rank them.

The same code fits the combination of scores, measures a model and serves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.config.sections import ShortlistConfig
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.encoder.numpy_encoder import DocumentEncoder
from xmlcli.kernels.products import product_by_row, unit_rows
from xmlcli.prediction.combination import Combination, scores_of, take_top_k
from xmlcli.prediction.scores import VOTES, Scores, TextScores
from xmlcli.prediction.sharded_scores import ShardedScores
from xmlcli.prediction.unseen import UnseenLabels, make_unseen, may_be_unseen
from xmlcli.prediction.votes import Voters
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import Index

_BLOCK = 16_384


@dataclass(frozen=True)
class Engine:
    """A trained model, ready to predict.

    Attributes:
        size: labels on a document's shortlist.
        combination: how their scores become one; None before it is fitted.
        voters: the training documents of kNN votes, or None.
        unseen: the labels without training documents, or None where they are left out.
        ranks: of several ranks each is given its documents.
    """

    encoder: DocumentEncoder
    index: Index
    scores: Scores | ShardedScores
    size: int
    combination: Combination | None = None
    voters: Voters | None = None
    unseen: UnseenLabels | None = None
    ranks: Ranks = ALONE

    def independent_of_blocks(self) -> Engine:
        """Return the same engine, whose scores of a document do not depend on the documents beside it."""
        assert isinstance(self.scores, Scores), "one process holds all labels"
        encoder, scores = replace(self.encoder, product=product_by_row), replace(self.scores, independent=True)
        unseen = None if self.unseen is None else replace(self.unseen, scores=TextScores(scores))
        return replace(self, encoder=encoder, scores=scores, unseen=unseen)

    def with_unseen(self, config: ShortlistConfig) -> Engine:
        """Return the same engine with the labels without training documents, where its combination has them."""
        combination = None if self.combination is None else self.combination.unseen
        if combination is None or not may_be_unseen(config, self.scores):
            return replace(self, unseen=None)
        return replace(self, unseen=make_unseen(self.scores, self.encoder.unit, config, combination))

    def score(self, X: sp.csr_matrix, *, progress: Progress = silent) -> tuple[Ints, dict[str, Floats]]:
        """Return the shortlists of X float32 CSR (N, F) and the scores on them, the search's own among them.

        The shortlists are int32 (N, size), padded with L; the scores name → float32 (N, size).
        """
        documents = self.encoder(X)
        return self._score(X, documents, unit_rows(documents), progress)

    def _score(
        self, X: sp.csr_matrix, documents: Floats, unit: Floats, progress: Progress = silent
    ) -> tuple[Ints, dict[str, Floats]]:
        """Do what `score` does; documents: their vectors, float32 (N, D), as they are and of unit length."""
        candidates, near = self.index.search(unit, self.size, X=X, progress=progress)
        scores = {"search": np.where(candidates < len(self.scores.frequencies), near, np.float32(0))}
        scores |= self.scores(X, documents, candidates)
        if self.voters is not None:
            scores[VOTES] = self.voters(X, unit, candidates)
        return candidates, scores

    def top_k(self, X: sp.csr_matrix, k: int, *, progress: Progress = silent) -> tuple[Ints, Floats]:
        """Return the k best labels of each document, int32 (N, k), padded with L, and their scores float32 (N, k).

        With the logistic combination a score is the log-odds that the label is right; padding scores -inf.
        """
        assert self.combination is not None, "the combination has been fitted"
        num_labels = len(self.scores.frequencies)
        labels = np.full((X.shape[0], k), num_labels, np.int32)
        best = np.full((X.shape[0], k), -np.inf, np.float32)
        for block in self.ranks.blocks(X.shape[0], _BLOCK):
            candidates, combined = self._combined(self.combination, X if X.shape[0] <= _BLOCK else X[block])
            labels[block], best[block] = take_top_k(combined, candidates, k, num_labels)
            progress("predict", block.stop, X.shape[0])
        return labels, best

    def _combined(self, combination: Combination, X: sp.csr_matrix) -> tuple[Ints, Floats]:
        """Return all labels that may be right, int32 (N, m), padded with L, and their scores float32 (N, m)."""
        documents = self.encoder(X)
        unit = unit_rows(documents)
        candidates, scores = self._score(X, documents, unit)
        combined = combination.combine(scores, candidates, len(self.scores.frequencies))
        if self.unseen is None:
            return candidates, combined
        more, odds = self.unseen.log_odds(X, unit)
        # an order by these scores is one by probability: the curve rises
        return np.hstack([candidates, more]), np.hstack([combined, scores_of(odds, combination.curve)])
