"""Phase 2 in two parts: words propose labels, once, and the dense embeddings decide among them, in every cycle.

Word centroids and bonus stay as they are from cycle to cycle, and with them the labels that an inverted file proposes
for a training document. What changes is the third term of a label's score, `share * cos_vectors` (`word_index`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints
from xmlcli.distributed.ranks import Ranks
from xmlcli.kernels.products import Table, chosen_products
from xmlcli.kernels.top_k import sort_rows
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.word_index import PROPOSED

_DECIDING = 512  # documents of each rank in one exchange


@dataclass(frozen=True)
class Proposals:
    """The labels that words propose for each document.

    Attributes:
        labels: int32 (N, m), in any order, padded with L.
        scores: float32, or float16 to be kept, (N, m), `cos_words + bonus`, padded with -inf.
    """

    labels: Ints
    scores: npt.NDArray[np.floating[Any]]


def propose(
    index: Index, X: sp.csr_matrix, k: int, num_labels: int, *,
    dtype: npt.DTypeLike = np.float16, progress: Progress = silent,
) -> Proposals:  # fmt: skip
    """Let an index of words alone propose labels for shortlists of k.

    X: float32 CSR (N, F), this rank's documents; dtype: of the scores.
    """
    nothing = np.zeros((X.shape[0], 1), np.float32)
    labels, scores = index.search(nothing, min(PROPOSED * k, num_labels), X=X, progress=progress)
    return Proposals(labels, scores.astype(dtype, copy=False))


def decide(
    proposals: Proposals, documents: Floats, Z: Table, share: float, k: int, num_labels: int, ranks: Ranks
) -> tuple[Ints, Floats]:
    """Return what `Index.search` does, of the labels proposed: those of the largest `score + share * cos_vectors`.

    documents: float32 (N, D), unit or zero rows, this rank's; Z: (L', D) unit rows, of this rank's labels.
    """
    N, found = len(documents), min(k, proposals.labels.shape[1])
    indices, scores = np.empty((N, found), np.int32), np.empty((N, found), np.float32)
    for block in ranks.blocks(N, _DECIDING):
        labels = proposals.labels[block]
        total = proposals.scores[block].astype(np.float32)
        total += np.float32(share) * _cosines(documents[block], Z, labels, num_labels, ranks)
        _keep_best(labels, total, indices[block], scores[block])
    if found == k:
        return indices, scores
    missing = ((0, 0), (0, k - found))
    return np.pad(indices, missing, constant_values=num_labels), np.pad(scores, missing, constant_values=-np.inf)


@dataclass(frozen=True)
class Deciding:
    """An `Index` of the labels of several ranks, in which words propose and vectors decide for each search anew.

    Attributes:
        by_words: the index of words alone, of all labels.
        Z: (L', D) unit rows, of this rank's labels; share: what the cosine with them counts for.
        num_labels: L, all labels.
        ranks: who owns what.
    """

    by_words: Index
    Z: Table
    share: float
    num_labels: int
    ranks: Ranks

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `searching.Index.search`; all ranks call it, each with its documents."""
        assert X is not None, "an index of words searches by words"
        L, ranks = self.num_labels, self.ranks
        proposals = propose(self.by_words, X, k, L, dtype=np.float32, progress=progress)
        return decide(proposals, documents, self.Z, self.share, k, L, ranks)


def _keep_best(labels: Ints, total: Floats, indices: Ints, scores: Floats) -> None:
    over_rows(len(labels), lambda first, last: sort_rows(labels, total, first, last, indices, scores), cost=1e4)


def _cosines(documents: Floats, Z: Table, labels: Ints, num_labels: int, ranks: Ranks) -> Floats:
    """Return the cosine of each document with each of its labels, float32 (n, m), 0 for padding.

    The rank that owns a label computes it.
    """
    if ranks.size == 1:
        return chosen_products(documents, Z, labels)

    def answer(arrays: Sequence[Array], _: sp.csr_matrix) -> list[Floats]:
        return [chosen_products(arrays[0], Z, ranks.local(arrays[1], num_labels))]

    nothing = sp.csr_matrix((len(documents), 1), dtype=np.float32)
    answers = ranks.ask_owners(answer, [documents, labels], nothing)
    cosines: Floats = np.sum([part[0] for part in answers], axis=0)
    return cosines
