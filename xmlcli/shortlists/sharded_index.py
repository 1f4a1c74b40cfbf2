"""Phase 2 over several ranks: each searches the labels it owns, and the best of all ranks are merged.

A document's words and vector go to every rank, the labels found come back to the rank that owns the document. What is
found is what one index of all labels finds, for an exact search to the last label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.distributed.ranks import Ranks, stack_csr
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import Index

_BLOCK = 512  # documents of each rank in one exchange


@dataclass(frozen=True)
class MergedIndex:
    """An `Index` of the labels of all ranks; `search` is given the documents of its own rank.

    Attributes:
        own: the index of this rank's labels; their ids there count from 0.
        ranks: who owns what.
        num_labels: L, all labels.
    """

    own: Index
    ranks: Ranks
    num_labels: int

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `neighbours.Index.search`; all ranks call it, each with its documents."""
        N = len(documents)
        indices = np.full((N, k), self.num_labels, np.int32)
        scores = np.full((N, k), -np.inf, np.float32)
        X = sp.csr_matrix((N, 1), dtype=np.float32) if X is None else X
        for start in range(0, self.ranks.most(N), _BLOCK):
            block = slice(min(start, N), min(start + _BLOCK, N))
            ids, found = self._search(documents[block], X[block], min(k, self.num_labels))
            indices[block, : ids.shape[1]], scores[block, : ids.shape[1]] = ids, found
            progress("shortlist", block.stop, N)
        return indices, scores

    def _search(self, documents: Floats, X: sp.csr_matrix, k: int) -> tuple[Ints, Floats]:
        """Search one block of each rank's documents; return the k best labels of this rank's."""
        gathered = self.ranks.gather(documents, np.diff(X.indptr), X.indices, X.data)
        everyones = np.concatenate([part[0] for part in gathered])
        words = stack_csr([part[1:] for part in gathered], X.shape[1])
        most_owned = -(-self.num_labels // self.ranks.size)
        local, near = self.own.search(everyones, min(k, most_owned), X=words)
        first = self.ranks.share(self.num_labels).start
        ids = np.where(np.isfinite(near), local + first, self.num_labels).astype(np.int32)
        ends = np.cumsum([len(part[0]) for part in gathered])[:-1]
        parts = [list(pair) for pair in zip(np.split(ids, ends), np.split(near, ends), strict=True)]
        ids, near = (np.concatenate(a, axis=1) for a in zip(*self.ranks.exchange(parts), strict=True))
        order = best(near, ids, k)
        return np.take_along_axis(ids, order, axis=1), np.take_along_axis(near, order, axis=1)


def best(scores: Floats, ids: Ints, k: int) -> npt.NDArray[np.int64]:
    """Return the columns of the k largest scores of each row (N, m), ties by the lower id, best first."""
    order: npt.NDArray[np.int64] = np.lexsort((ids, -scores), axis=1)[:, :k]
    return order
