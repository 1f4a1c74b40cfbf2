"""Phase 2: the nearest label embeddings of documents, behind one interface.

`words` searches the labels' word centroids and lets the dense embeddings decide among the nearest
(`word_index`); `exact` and `nmslib` search the dense embeddings, by products and by an HNSW graph
(`exact_index`). A bonus for frequent labels is added to the cosine; labels that are not searchable are never
returned. Of several ranks each searches the labels it owns (`sharded_index`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.config.sections import ShortlistConfig
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.products import Table, floats
from xmlcli.metrics import hit_matrix
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.rerank import Deciding
from xmlcli.shortlists.sharded_index import ShardedIndex
from xmlcli.shortlists.word_index import WordIndex

_BLOCK = 65_536  # documents, whose hits are a number for each place of a shortlist


@dataclass(frozen=True)
class LabelVectors:
    """What labels are searched by.

    Attributes:
        Z: label embeddings, (L, D) unit rows.
        bonus: float32 (L,), added to a label's cosine.
        words: unit centroids of the labels' word features, float32 CSR (L, F), or None.
    """

    Z: Table
    bonus: Floats
    words: sp.csr_matrix | None = None


def make_index(
    labels: LabelVectors, frequencies: Floats, config: ShortlistConfig, *, in_order: bool = True, device: str = "cpu",
    ranks: Ranks = ALONE,
) -> Index:  # fmt: skip
    """Index label embeddings with the configured backend; frequencies: float32 (L,), documents of each label.

    Without `in_order` words find the same labels in any order. Of several ranks each gives the labels it owns.
    """
    searchable = frequencies > 0 if config.mask_unseen else np.ones(len(frequencies), np.bool_)
    index = sharded(_own_index(labels, searchable, config, in_order, device, ranks), len(labels.Z), ranks)
    if ranks.size == 1 or config.backend != "words" or not config.vectors:
        return index
    return Deciding(index, labels.Z, config.vectors, int(ranks.sum_over_ranks(len(labels.Z))), ranks)


def sharded(own: Index, num_labels: int, ranks: Ranks) -> Index:
    """Return an index of the labels of all ranks; `own` has this rank's, so many."""
    return own if ranks.size == 1 else ShardedIndex(own, ranks, int(ranks.sum_over_ranks(num_labels)))


def _own_index(
    labels: LabelVectors, searchable: npt.NDArray[np.bool_], config: ShortlistConfig, in_order: bool, device: str,
    ranks: Ranks,
) -> Index:  # fmt: skip
    """Index one rank's labels; of several ranks by the words alone, the dense embeddings decide on what all propose."""
    if config.backend == "words":
        assert labels.words is not None, "whoever searches by words has read the centroids"
        share = config.vectors if ranks.size == 1 else 0.0
        return WordIndex(
            labels.words, labels.Z, bonus=labels.bonus, searchable=searchable, share=share, in_order=in_order,
            ranks=ranks,
        )  # fmt: skip
    if config.backend == "exact":
        from xmlcli.shortlists.exact_index import ExactIndex

        return ExactIndex(floats(labels.Z), bonus=labels.bonus, searchable=searchable, device=device)
    from xmlcli.shortlists.hnsw_index import HnswIndex

    graph = {"M": config.M, "ef_construction": config.ef_construction, "ef_search": config.ef_search}
    return HnswIndex(floats(labels.Z), bonus=labels.bonus, searchable=searchable, **graph)


def choose_bonus(
    words: sp.csr_matrix, bonuses: Sequence[Floats], searchable: npt.NDArray[np.bool_], X: sp.csr_matrix,
    Y: sp.csr_matrix, k: int, ranks: Ranks = ALONE,
) -> int:  # fmt: skip
    """Return which of several bonuses gives the shortlists of most recall; the first of equal ones.

    words: float32 CSR (L, F); bonuses: float32 (L,) each; searchable: bool (L,); X float32 CSR (N, F) and Y CSR (N, L)
    are documents that helped to make no centroid. Of several ranks each gives its labels and its documents, Y with the
    columns of all.
    """
    best = (-1.0, 0)
    if len(bonuses) == 1 or not ranks.sum_over_ranks(Y.nnz):
        return best[1]
    nothing = np.zeros((words.shape[0], 1), np.float32)
    index = WordIndex(words, nothing, bonus=bonuses[0], searchable=searchable, share=0.0, in_order=False, ranks=ranks)
    for number, bonus in enumerate(bonuses):
        everyones = sharded(index.with_bonus(bonus), len(nothing), ranks)
        found, _ = everyones.search(np.zeros((X.shape[0], 1), np.float32), min(k, Y.shape[1]), X=X)
        best = max(best, (recall(found, Y, ranks), number), key=lambda pair: pair[0])
    return best[1]


def recall(indices: Ints, Y: sp.csr_matrix, ranks: Ranks = ALONE) -> float:
    """Return the share of all pairs of document and true label in Y (N, L) that shortlists int32 (N, k) hold.

    Of several ranks each gives its documents.
    """
    blocks = (slice(at, at + _BLOCK) for at in range(0, Y.shape[0], _BLOCK))
    hits = sum(count_hits(indices[rows], Y[rows]) for rows in blocks)
    return float(ranks.sum_over_ranks(hits) / max(ranks.sum_over_ranks(Y.nnz), 1))


def count_hits(indices: Ints, Y: sp.csr_matrix) -> float:
    """Return how many pairs of document and true label in Y (N, L) the shortlists int32 (N, k) hold."""
    return float(hit_matrix(indices, Y).sum())
