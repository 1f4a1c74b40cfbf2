"""Phase 2 over several ranks: each searches the labels it owns, and the best of all ranks are merged.

A document's words and vector go to every rank, the nearest labels come back to the rank that owns the document: those
that one index of all labels returns, for an exact search to the last label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints, Longs
from xmlcli.distributed.ranks import Ranks
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import Index, empty_shortlists

_BLOCK = 512  # documents of each rank in one exchange


@dataclass(frozen=True)
class ShardedIndex:
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
        """See `Index.search`; all ranks call it, each with its documents."""
        N, width = len(documents), min(k, self.num_labels)
        indices, scores = empty_shortlists(N, k, self.num_labels)
        X = sp.csr_matrix((N, 1), dtype=np.float32) if X is None else X
        for block in self.ranks.blocks(N, _BLOCK):
            answers = self.ranks.ask_owners(partial(self._search_own, width), [documents[block]], X[block])
            ids, near = (np.concatenate(part, axis=1) for part in zip(*answers, strict=True))
            order = best_columns(near, ids, width)
            indices[block, : order.shape[1]] = np.take_along_axis(ids, order, axis=1)
            scores[block, : order.shape[1]] = np.take_along_axis(near, order, axis=1)
            progress("shortlist", block.stop, N)
        return indices, scores

    def _search_own(self, k: int, arrays: Sequence[Array], X: sp.csr_matrix) -> tuple[Ints, Floats]:
        """Return the nearest labels of this rank's to documents, by their number among all labels."""
        most_owned = -(-self.num_labels // self.ranks.size)
        local, near = self.own.search(arrays[0], min(k, most_owned), X=X)
        first = self.ranks.share(self.num_labels).start
        return np.where(np.isfinite(near), local + first, self.num_labels).astype(np.int32), near


def sharded(own: Index, num_labels: int, ranks: Ranks) -> Index:
    """Return an index of the labels of all ranks; `own` has this rank's, so many."""
    return own if ranks.size == 1 else ShardedIndex(own, ranks, int(ranks.sum_over_ranks(num_labels)))


def best_columns(scores: Floats, ids: Ints, k: int) -> Longs:
    """Return the columns of the k largest scores of each row (N, m), ties by the lower id, best first."""
    order: Longs = np.lexsort((ids, -scores), axis=1)[:, :k]
    return order
