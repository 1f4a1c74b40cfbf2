"""Scores over several ranks: each scores the shortlisted labels it owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints
from xmlcli.distributed.ranks import Ranks
from xmlcli.prediction.scores import Scores, TextScores

_BLOCK = 512  # documents of each rank in one exchange


@dataclass(frozen=True)
class ShardedScores:
    """`Scores` of the labels of all ranks; it is given the documents of its own rank.

    Attributes:
        own: the scores of this rank's labels, whose ids there count from 0.
        frequencies: float32 (L,), of all labels.
        ranks: who owns what.
    """

    own: Scores | TextScores
    frequencies: Floats
    ranks: Ranks

    def __call__(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> dict[str, Floats]:
        """See `Scores.__call__`; all ranks call it, each with its documents. Padding scores 0."""
        scores = {name: np.zeros(candidates.shape, np.float32) for name in self.own.names}
        for block in self.ranks.blocks(len(documents), _BLOCK):
            owners = self.ranks.owners(candidates[block], len(self.frequencies))
            answers = self.ranks.ask_owners(self._score_own, [documents[block], candidates[block]], X[block])
            for owner, own_scores in enumerate(answers):
                for name, values in zip(scores, own_scores, strict=True):
                    scores[name][block][owners == owner] = values
        return scores

    def _score_own(self, arrays: Sequence[Array], X: sp.csr_matrix) -> list[Floats]:
        """Return the scores of this rank's labels among the candidates of documents, row by row: float32 (P,) each."""
        documents, candidates = arrays
        local = self.ranks.local(candidates, len(self.frequencies))
        return [scores[local < len(self.own.frequencies)] for scores in self.own(X, documents, local).values()]
