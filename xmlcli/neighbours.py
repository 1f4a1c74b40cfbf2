"""Phase 2: the nearest label embeddings of documents, behind one interface.

`words` searches the labels' word centroids and lets the dense embeddings decide among the nearest
(`xmlcli.word_index`); `exact` and `nmslib` search the dense embeddings, by products and by an HNSW graph
(`xmlcli.dense_index`). A bonus for frequent labels is added to the cosine; labels that are not searchable are never
returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.config import ShortlistConfig
from xmlcli.metrics import hit_matrix
from xmlcli.progress import Progress, silent
from xmlcli.word_index import WordIndex

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class LabelVectors:
    """What labels are searched by.

    Attributes:
        Z: label embeddings, float32 (L, D) unit rows.
        bonus: float32 (L,), added to a label's cosine.
        words: unit centroids of the labels' word features, float32 CSR (L, F), or None.
    """

    Z: Floats
    bonus: Floats
    words: sp.csr_matrix | None = None


class Index(Protocol):
    """Finds the nearest labels."""

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """Return `indices` int32 (N, k), best first, padded with L, and `scores` float32 (N, k), padded with -inf.

        `documents` float32 (N, D) have unit or zero length; `X` float32 CSR (N, F) are the same documents' words, which
        an index of words needs. Ties are broken by the lower label id.
        """


def make_index(labels: LabelVectors, frequencies: Floats, config: ShortlistConfig, *, device: str = "cpu") -> Index:
    """Index label embeddings with the configured backend; frequencies: float32 (L,), documents of each label."""
    searchable = frequencies > 0 if config.mask_unseen else np.ones(len(frequencies), np.bool_)
    if config.backend == "words":
        assert labels.words is not None, "whoever searches by words has read the centroids"
        return WordIndex(labels.words, labels.Z, bonus=labels.bonus, searchable=searchable, share=config.vectors)
    from xmlcli.dense_index import ExactIndex, HnswIndex

    if config.backend == "exact":
        return ExactIndex(labels.Z, bonus=labels.bonus, searchable=searchable, device=device)
    graph = {"M": config.M, "ef_construction": config.ef_construction, "ef_search": config.ef_search}
    return HnswIndex(labels.Z, bonus=labels.bonus, searchable=searchable, **graph)


def choose_prior(
    words: sp.csr_matrix, frequencies: Floats, priors: Sequence[float], X: sp.csr_matrix, Y: sp.csr_matrix, k: int
) -> float:
    """Return the prior whose bonus, prior * ln(1 + n), gives the shortlists of most recall; the first of equal ones.

    words: float32 CSR (L, F); X float32 CSR (N, F) and Y CSR (N, L) are documents that helped to make no centroid.
    """
    nothing = np.zeros((words.shape[0], 1), np.float32)
    searchable, best = frequencies > 0, (-1.0, priors[0])
    for prior in priors if len(priors) > 1 and Y.nnz else ():
        bonus = (prior * np.log1p(frequencies)).astype(np.float32)
        index = WordIndex(words, nothing, bonus=bonus, searchable=searchable, share=0.0)
        found, _ = index.search(np.zeros((X.shape[0], 1), np.float32), min(k, words.shape[0]), X=X)
        best = max(best, (recall(found, Y), prior), key=lambda pair: pair[0])
    return best[1]


def recall(indices: Ints, Y: sp.csr_matrix) -> float:
    """Return the share of all pairs of document and true label in Y (N, L) that shortlists int32 (N, k) hold."""
    return float(hit_matrix(indices, Y).sum() / max(Y.nnz, 1))
