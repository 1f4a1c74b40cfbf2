"""Scores over several ranks: each scores the shortlisted labels it owns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.distributed.ranks import Ranks, stack_csr
from xmlcli.prediction.scores import Scores

_BLOCK = 512  # documents of each rank in one exchange


@dataclass(frozen=True)
class MergedScores:
    """`Scores` of the labels of all ranks; it is given the documents of its own rank.

    Attributes:
        own: the scores of this rank's labels, whose ids there count from 0.
        frequencies: float32 (L,), of all labels.
        ranks: who owns what.
    """

    own: Scores
    frequencies: Floats
    ranks: Ranks

    def __call__(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> dict[str, Floats]:
        """See `Scores.__call__`; all ranks call it, each with its documents. Padding scores 0."""
        N = len(documents)
        found: dict[str, Floats] = {}
        for start in range(0, max(self.ranks.most(N), 1), _BLOCK):
            block = slice(min(start, N), min(start + _BLOCK, N))
            for name, scores in self._score(X[block], documents[block], candidates[block]).items():
                found.setdefault(name, np.zeros(candidates.shape, np.float32))[block] = scores
        return found

    def _score(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> dict[str, Floats]:
        """Score one block of each rank's documents; return the scores of this rank's."""
        L = len(self.frequencies)
        gathered = self.ranks.gather(documents, candidates, np.diff(X.indptr), X.indices, X.data)
        everyones, listed = (np.concatenate([part[i] for part in gathered]) for i in (0, 1))
        words = stack_csr([part[2:] for part in gathered], X.shape[1])
        share = self.ranks.share(L)
        there = (listed >= share.start) & (listed < share.stop)
        local = np.where(there, listed - share.start, share.stop - share.start).astype(np.int32)
        scored = self.own(words, everyones, local)
        ends = np.cumsum([len(part[0]) for part in gathered])
        parts = []
        for part, end in zip(gathered, ends, strict=True):
            rows = slice(end - len(part[0]), end)
            parts.append([scores[rows][there[rows]].astype(np.float32) for scores in scored.values()])
        owners = self.ranks.owners(candidates, L)
        found = {name: np.zeros(candidates.shape, np.float32) for name in scored}
        for owner, values in enumerate(self.ranks.exchange(parts)):
            for name, answered in zip(scored, values, strict=True):
                found[name][owners == owner] = answered
        return found
