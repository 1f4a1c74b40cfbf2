"""Retrieval by tf-idf words: the labels whose word centroids are nearest to a document's words.

A label's score is `cos_words + bonus_l`, summed up by an inverted file of the word centroids. A document's lightest
words, and of a long one its most frequent ones, do not count: they cost most and tell least.

Where one process has all labels and their order does not matter, the loop that retrieves for a document also reranks,
by the rule of `rerank`: a second loop would take a twentieth of the time of a prediction where labels are few.
"""

from __future__ import annotations

from copy import copy

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats, Ints
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.csr import CsrRows, unsigned
from xmlcli.kernels.inverted_file import InvertedFile, Reranking, SearchLimits, search_inverted_file
from xmlcli.kernels.products import Table, values_and_scale
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import pad_shortlists

_BLOCK = 4096
LIGHT = 0.01  # of a document's square, held by its lightest words: a third of its postings, which decide nothing
POSTINGS = 50_000  # of a document; what is over are its most frequent words
RETRIEVED = 2  # times as many labels as wanted are retrieved to be reranked


class WordIndex:
    """Inverted file of label centroids, the same whatever the number of threads."""

    def __init__(
        self, words: sp.csr_matrix, *, bonus: Floats, searchable: Bools, in_order: bool = True,
        rerank_by: tuple[Table, float] | None = None, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        """Keep what is searchable.

        words: float32 CSR (L, F) unit rows; bonus: float32 (L,); searchable: bool (L,); in_order: whether labels come
        best first (a tenth of the search) or by number; rerank_by: Z, (L, D) unit rows, and what the cosine with them
        counts, or None to retrieve only. Of several ranks each gives its labels; which words of a
        document count, the labels of all decide.
        """
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._num_labels = words.shape[0]
        everything = len(self._ids) == words.shape[0]
        columns = (words if everything else words[self._ids]).tocsc()
        labels = unsigned(columns.indices)
        few = len(self._ids) <= 1 << 16  # so that shorter numbers do, which take less time to read
        lengths = ranks.all_reduce_sum(np.diff(columns.indptr).astype(np.int64))
        self._file = InvertedFile(
            columns.indptr, labels.astype(np.uint16) if few else labels, columns.data, lengths, self._own(bonus)
        )
        self._in_order, self._rerank_by = in_order, None
        if rerank_by is not None:
            Z, share = rerank_by
            self._rerank_by = (*values_and_scale(Z if everything else Z[self._ids]), np.float32(share))

    def with_bonus(self, bonus: Floats) -> WordIndex:
        """Return the same index with another bonus, float32 (L,)."""
        index = copy(self)
        index._file = self._file._replace(bonus=self._own(bonus))
        return index

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `Index.search`; the documents' vectors count where they rerank."""
        assert X is not None, "an index of words searches by words"
        N, width = X.shape[0], min(k, len(self._ids))
        local, scores = np.empty((N, width), np.int32), np.empty((N, width), np.float32)
        if N <= _BLOCK:
            self._search_block(X, documents, local, scores)
            progress("shortlist", N, N)
        else:
            for block in (slice(at, min(at + _BLOCK, N)) for at in range(0, N, _BLOCK)):
                self._search_block(X[block], documents[block], local[block], scores[block])
                progress("shortlist", block.stop, N)
        labels = local if len(self._ids) == self._num_labels else self._ids[local]
        return pad_shortlists(labels, scores, k, self._num_labels)

    def _search_block(self, X: sp.csr_matrix, vectors: Floats, local: Ints, scores: Floats) -> None:
        """Write the best of the searchable labels, counted among these alone, and their scores, (n, k) each."""
        if not local.size:
            return
        documents, reranking = CsrRows(X.indptr, X.indices, X.data, X.shape), None
        file, limits = self._file, SearchLimits(LIGHT, POSTINGS, self._in_order)
        if self._rerank_by is not None:
            num_retrieved = min(RETRIEVED * local.shape[1], len(self._ids))
            reranking = Reranking(vectors, *self._rerank_by, num_retrieved)

        def search(first: int, last: int) -> None:
            search_inverted_file(documents, file, limits, reranking, first, last, local, scores)

        over_rows(len(local), search)

    def _own(self, bonus: Floats) -> Floats:
        return np.ascontiguousarray(bonus[self._ids], np.float32)
