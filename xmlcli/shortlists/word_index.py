"""Retrieval by tf-idf words: the labels whose word centroids are nearest to a document's words.

A label's score is `cos_words + bonus_l`, summed up by an inverted file of the word centroids. A document's lightest
words, and of a long one its most frequent ones, do not count: they cost most and tell least.
"""

from __future__ import annotations

from copy import copy

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats, Ints
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.csr import CsrRows, unsigned
from xmlcli.kernels.inverted_file import InvertedFile, SearchLimits, search_inverted_file
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress, silent

_BLOCK = 4096
LIGHT = 0.01  # of a document's square, held by its lightest words: a third of its postings, which decide nothing
POSTINGS = 50_000  # of a document; what is over are its most frequent words


class WordIndex:
    """Inverted file of label centroids, the same whatever the number of threads."""

    def __init__(
        self, words: sp.csr_matrix, *, bonus: Floats, searchable: Bools, in_order: bool = True, ranks: Ranks = ALONE
    ) -> None:
        """Keep what is searchable.

        words: float32 CSR (L, F) unit rows; bonus: float32 (L,); searchable: bool (L,); in_order: whether labels come
        best first (a tenth of the search) or by number. Of several ranks each gives its labels; which words of a
        document count, the labels of all decide.
        """
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._num_labels = words.shape[0]
        columns = (words if len(self._ids) == words.shape[0] else words[self._ids]).tocsc()
        labels = unsigned(columns.indices)
        few = len(self._ids) <= 1 << 16  # so that shorter numbers do, which take less time to read
        lengths = ranks.all_reduce_sum(np.diff(columns.indptr).astype(np.int64))
        self._file = InvertedFile(
            columns.indptr, labels.astype(np.uint16) if few else labels, columns.data, lengths, self._own(bonus)
        )
        self._in_order = in_order

    def with_bonus(self, bonus: Floats) -> WordIndex:
        """Return the same index with another bonus, float32 (L,)."""
        index = copy(self)
        index._file = self._file._replace(bonus=self._own(bonus))
        return index

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `Index.search`; the documents' vectors do not count."""
        assert X is not None, "an index of words searches by words"
        N = X.shape[0]
        indices, scores = np.empty((N, k), np.int32), np.empty((N, k), np.float32)
        width = min(k, len(self._ids))
        indices[:, width:], scores[:, width:] = self._num_labels, -np.inf
        for start in range(0, N if width else 0, _BLOCK):
            block = slice(start, min(start + _BLOCK, N))
            rows = X if N <= _BLOCK else X[block]
            indices[block, :width] = self._ids[self._search_block(rows, scores[block, :width])]
            progress("shortlist", block.stop, N)
        return indices, scores

    def _search_block(self, X: sp.csr_matrix, scores: Floats) -> Ints:
        """Return the k best of the searchable labels, int32 (n, k), and write their scores (n, k)."""
        documents, local = CsrRows(X.indptr, X.indices, X.data, X.shape), np.empty(scores.shape, np.int32)
        limits = SearchLimits(LIGHT, POSTINGS, self._in_order)

        def search(first: int, last: int) -> None:
            search_inverted_file(documents, self._file, limits, first, last, local, scores)

        over_rows(len(scores), search)
        return local

    def _own(self, bonus: Floats) -> Floats:
        return np.ascontiguousarray(bonus[self._ids], np.float32)
