"""Prediction without torch: encode documents, shortlist labels, score and rank them.

The same code fits the combination of scores, measures a model and serves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.encoder.numpy_encoder import DocumentEncoder
from xmlcli.kernels.products import product_by_row, unit_rows
from xmlcli.prediction.combination import Combination, take_top_k
from xmlcli.prediction.scores import VOTES, Scores
from xmlcli.prediction.sharded_scores import ShardedScores
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
        ranks: of several ranks each is given its documents.
    """

    encoder: DocumentEncoder
    index: Index
    scores: Scores | ShardedScores
    size: int
    combination: Combination | None = None
    voters: Voters | None = None
    ranks: Ranks = ALONE

    def independent_of_blocks(self) -> Engine:
        """Return the same engine, whose scores of a document do not depend on the documents beside it."""
        assert isinstance(self.scores, Scores), "one process holds all labels"
        encoder = replace(self.encoder, product=product_by_row)
        return replace(self, encoder=encoder, scores=replace(self.scores, independent=True))

    def score(self, X: sp.csr_matrix, *, progress: Progress = silent) -> tuple[Ints, dict[str, Floats]]:
        """Return the shortlists of X float32 CSR (N, F) and the scores on them, the search's own among them.

        The shortlists are int32 (N, size), padded with L; the scores name → float32 (N, size).
        """
        documents = self.encoder(X)
        unit = unit_rows(documents)
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
            candidates, scores = self.score(X if X.shape[0] <= _BLOCK else X[block])
            combined = self.combination.combine(scores, candidates, num_labels)
            labels[block], best[block] = take_top_k(combined, candidates, k, num_labels)
            progress("predict", block.stop, X.shape[0])
        return labels, best
