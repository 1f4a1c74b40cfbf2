"""Phase 2 over several ranks: each searches the labels it owns, and the best of all ranks are merged.

A document's words and vector go to every rank, the labels found come back to the rank that owns the document. What is
found is what one index of all labels finds, for an exact search to the last label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.products import chosen_products
from xmlcli.progress import Progress, silent
from xmlcli.ranks import Ranks, stack_csr
from xmlcli.searching import Index

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_BLOCK = 512  # documents of each rank in one exchange
_PROPOSED = 2  # times as many labels as wanted, as `word_index` has it


@dataclass(frozen=True)
class MergedIndex:
    """An `Index` of the labels of all ranks; `search` is given the documents of its own rank.

    Attributes:
        own: the index of this rank's labels, float32; their ids there count from 0.
        ranks: who owns what.
        num_labels: L, all labels.
        searchable: how many of them can be found.
        Z, share: float32 (L', D) unit rows of this rank's labels, and what their cosine with a document counts for
            when it decides among the labels that `own` proposes; a share of 0 leaves that to `own` alone.
    """

    own: Index
    ranks: Ranks
    num_labels: int
    searchable: int
    Z: Floats
    share: float = 0.0

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
            indices[block], scores[block] = self._search(documents[block], X[block], min(k, self.num_labels), k)
            progress("shortlist", block.stop, N)
        return indices, scores

    def _search(self, documents: Floats, X: sp.csr_matrix, wanted: int, k: int) -> tuple[Ints, Floats]:
        """Search one block of each rank's documents; return the k best labels of this rank's."""
        found = min(wanted, self.searchable)
        proposed = min(_PROPOSED * found, self.searchable) if self.share else found
        gathered = self.ranks.gather(documents, np.diff(X.indptr), X.indices, X.data)
        everyones = np.concatenate([part[0] for part in gathered])
        words = stack_csr([part[1:] for part in gathered], X.shape[1])
        local, near = self.own.search(everyones, proposed, X=words)
        there = local < len(self.Z)
        cosines = chosen_products(everyones, self.Z, local) if self.share else np.zeros_like(near)
        ids = np.where(there, local + self.ranks.share(self.num_labels).start, self.num_labels).astype(np.int32)
        ends = np.cumsum([len(part[0]) for part in gathered])
        parts = [[a[end - len(part[0]) : end] for a in (ids, near, cosines)]
                 for part, end in zip(gathered, ends, strict=True)]  # fmt: skip
        ids, near, cosines = (np.concatenate(a, axis=1) for a in zip(*self.ranks.exchange(parts), strict=True))
        order = best(near, ids, proposed)
        ids, near = np.take_along_axis(ids, order, axis=1), np.take_along_axis(near, order, axis=1)
        cosines = np.take_along_axis(cosines, order, axis=1)
        total = near + np.float32(self.share) * cosines if self.share else near
        order = best(total, ids, k)
        ids, total = np.take_along_axis(ids, order, axis=1), np.take_along_axis(total, order, axis=1)
        missing = ((0, 0), (0, k - ids.shape[1]))
        return np.pad(ids, missing, constant_values=self.num_labels), np.pad(total, missing, constant_values=-np.inf)


def best(scores: Floats, ids: Ints, k: int) -> npt.NDArray[np.int64]:
    """Return the columns of the k largest scores of each row (N, m), ties by the lower id, best first."""
    order: npt.NDArray[np.int64] = np.lexsort((ids, -scores), axis=1)[:, :k]
    return order
