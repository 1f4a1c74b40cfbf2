"""Phase 2 in two steps: tf-idf words retrieve twice as many labels as are wanted, the dense embeddings rerank them.

A retrieved label's score is `cos_words + bonus_l`; `share * cos_vectors` is added, and the best are kept. Word
centroids and bonus stay as they are from cycle to cycle, and with them the labels that are retrieved for a training
document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.products import Table, chosen_products
from xmlcli.kernels.top_k import sort_rows
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import Index, pad_shortlists
from xmlcli.shortlists.word_index import RETRIEVED

_BLOCK = 4096  # documents that are retrieved for before they are reranked
_EXCHANGED = 512  # documents of each rank in one exchange of cosines


class Retrieved(NamedTuple):
    """The labels retrieved for N documents.

    Attributes:
        labels: int32 (N, m), in any order, padded with L.
        scores: float32, or float16 as the stage keeps them, (N, m), padded with -inf.
    """

    labels: Ints
    scores: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Reranker:
    """Adds the cosines of the vectors to the scores of retrieved labels.

    Attributes:
        Z: (L', D) unit rows, of this rank's labels.
        share: what a cosine with them counts.
        num_labels: L, labels of all ranks.
        ranks: who owns what.
    """

    Z: Table
    share: float
    num_labels: int
    ranks: Ranks = ALONE

    def rerank(self, retrieved: Retrieved, documents: Floats, k: int) -> tuple[Ints, Floats]:
        """Return what `Index.search` does: the retrieved labels of the largest `score + share * cos_vectors`.

        documents: float32 (N, D), unit or zero rows, this rank's.
        """
        N, width = len(documents), min(k, retrieved.labels.shape[1])
        indices, scores = np.empty((N, width), np.int32), np.empty((N, width), np.float32)
        for block in self.ranks.blocks(N, _BLOCK if self.ranks.size == 1 else _EXCHANGED):
            labels, total = retrieved.labels[block], retrieved.scores[block].astype(np.float32)
            total += np.float32(self.share) * self._cosines(documents[block], labels)
            _sort(labels, total, indices[block], scores[block])
        return pad_shortlists(indices, scores, k, self.num_labels)

    def _cosines(self, documents: Floats, labels: Ints) -> Floats:
        """Return the cosine of each document with each of its labels, float32 (n, m), 0 for padding.

        The rank that owns a label computes it.
        """
        if self.ranks.size == 1:
            return chosen_products(documents, self.Z, labels)

        def answer(arrays: Sequence[Array], _: sp.csr_matrix) -> list[Floats]:
            return [chosen_products(arrays[0], self.Z, self.ranks.local(arrays[1], self.num_labels))]

        no_words = sp.csr_matrix((len(documents), 1), dtype=np.float32)
        answers = self.ranks.ask_owners(answer, [documents, labels], no_words)
        cosines: Floats = np.sum([part[0] for part in answers], axis=0)
        return cosines


def _sort(labels: Ints, total: Floats, indices: Ints, scores: Floats) -> None:
    over_rows(len(labels), lambda first, last: sort_rows(labels, total, first, last, indices, scores), cost=1e4)


@dataclass(frozen=True)
class RetrieveAndRerank:
    """An `Index` that retrieves labels by words and reranks them by vectors.

    Attributes:
        retriever: the index of words, of the labels of all ranks.
    """

    retriever: Index
    reranker: Reranker

    def retrieve(self, X: sp.csr_matrix, k: int, *, progress: Progress = silent) -> Retrieved:
        """Return the labels among which shortlists of k are found. X: float32 CSR (N, F), this rank's documents."""
        no_vectors = np.empty((X.shape[0], 0), np.float32)
        width = min(RETRIEVED * k, self.reranker.num_labels)
        return Retrieved(*self.retriever.search(no_vectors, width, X=X, progress=progress))

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `Index.search`; of several ranks all call it, each with its documents."""
        assert X is not None, "an index of words searches by words"
        N = X.shape[0]
        indices, scores = np.empty((N, k), np.int32), np.empty((N, k), np.float32)
        for block in self.reranker.ranks.blocks(N, _BLOCK):
            retrieved = self.retrieve(X if N <= _BLOCK else X[block], k)
            indices[block], scores[block] = self.reranker.rerank(retrieved, documents[block], k)
            progress("shortlist", block.stop, N)
        return indices, scores
