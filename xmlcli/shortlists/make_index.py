"""Phase 2: the nearest label embeddings of documents, behind one interface.

`words` retrieves labels by their word centroids and reranks them by the dense embeddings (`word_index`, `rerank`);
`exact` and `nmslib` search the dense embeddings alone, by products (`exact_index`) and by an HNSW graph
(`hnsw_index`). A bonus for frequent labels is added to the cosine; labels that are not searchable are never returned.
Of several ranks each searches the labels it owns (`sharded_index`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats
from xmlcli.config.sections import ShortlistConfig
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.products import Table, floats
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.rerank import Reranker, RetrieveAndRerank
from xmlcli.shortlists.sharded_index import sharded
from xmlcli.shortlists.word_index import WordIndex


@dataclass(frozen=True)
class SearchVectors:
    """What labels, or training documents, are searched by.

    Attributes:
        Z: their dense embeddings, (L, D) unit rows.
        bonus: float32 (L,), added to the cosine.
        words: their unit word vectors, of labels the word centroids, float32 CSR (L, F), or None.
    """

    Z: Table
    bonus: Floats
    words: sp.csr_matrix | None = None


def searchable_labels(frequencies: Floats, config: ShortlistConfig) -> Bools:
    """Return which labels are searched, bool (L,); frequencies: float32 (L,), training documents of each."""
    return frequencies > 0 if config.mask_unseen else np.ones(len(frequencies), np.bool_)


def make_index(
    vectors: SearchVectors, searchable: Bools, config: ShortlistConfig, *, in_order: bool = True, device: str = "cpu",
    ranks: Ranks = ALONE,
) -> Index:  # fmt: skip
    """Index what is searchable, bool (L,), with the configured backend.

    Without `in_order` an index of words returns the same labels in any order. Of several ranks each gives the labels it
    owns.
    """
    if config.backend != "words":
        return sharded(_dense_index(vectors, searchable, config, device), len(vectors.Z), ranks)
    if not config.vectors:
        return sharded(_word_index(vectors, searchable, in_order=in_order, ranks=ranks), len(vectors.Z), ranks)
    if in_order or ranks.size > 1:
        return make_word_index(vectors, searchable, config, ranks=ranks)
    return _word_index(vectors, searchable, in_order=False, rerank_by=(vectors.Z, config.vectors))


def make_word_index(
    vectors: SearchVectors, searchable: Bools, config: ShortlistConfig, *, ranks: Ranks = ALONE
) -> RetrieveAndRerank:
    """Index by words, for retrieval, and by the dense embeddings, whose share may be 0, for reranking."""
    num_labels = int(ranks.sum_over_ranks(len(vectors.Z)))
    retriever = sharded(_word_index(vectors, searchable, in_order=False, ranks=ranks), len(vectors.Z), ranks)
    return RetrieveAndRerank(retriever, Reranker(vectors.Z, config.vectors, num_labels, ranks))


def _word_index(
    vectors: SearchVectors, searchable: Bools, *, in_order: bool, rerank_by: tuple[Table, float] | None = None,
    ranks: Ranks = ALONE,
) -> WordIndex:  # fmt: skip
    """Index this rank's words."""
    words, bonus = vectors.words, vectors.bonus
    assert words is not None, "whoever searches by words has read the word vectors"
    return WordIndex(words, bonus=bonus, searchable=searchable, in_order=in_order, rerank_by=rerank_by, ranks=ranks)


def _dense_index(vectors: SearchVectors, searchable: Bools, config: ShortlistConfig, device: str) -> Index:
    Z, bonus = floats(vectors.Z), vectors.bonus
    if config.backend == "exact":
        from xmlcli.shortlists.exact_index import ExactIndex

        return ExactIndex(Z, bonus=bonus, searchable=searchable, device=device)
    from xmlcli.shortlists.hnsw_index import HnswIndex

    graph = {"M": config.M, "ef_construction": config.ef_construction, "ef_search": config.ef_search}
    return HnswIndex(Z, bonus=bonus, searchable=searchable, **graph)
