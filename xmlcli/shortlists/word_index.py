"""Phase 2 in the space of words: the labels whose word centroids are nearest, refined by their dense embeddings.

A label's score is `cos_words + bonus_l + share * cos_vectors`. An inverted file of the word centroids scores all labels
by the first two terms and proposes twice as many as are wanted; the third term then decides among those. A document's
lightest words, and of a long one its most frequent ones, do not count: they cost most and tell least.
"""

from __future__ import annotations

from copy import copy

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit

from xmlcli.arrays import Floats, Ints
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.csr import unsigned
from xmlcli.kernels.inverted_file import (
    MAXIMA,
    add_postings,
    collect,
    collect_of_all,
    cut,
    group_shift,
    heaviest,
    refresh,
    restore,
    touch,
)
from xmlcli.kernels.products import Table, values_and_scale
from xmlcli.kernels.top_k import sort_best
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress, silent

_BLOCK = 4096
LIGHT = 0.01  # of a document's square, held by its lightest words: a third of its postings, which decide nothing
POSTINGS = 50_000  # of a document; what is over are its most frequent words
PROPOSED = 2  # times as many labels as wanted


class WordIndex:
    """Inverted file of label centroids, the same whatever the number of threads."""

    def __init__(
        self, words: sp.csr_matrix, Z: Table, *, bonus: Floats, searchable: npt.NDArray[np.bool_], share: float,
        in_order: bool = True, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        """Keep what is searchable.

        words: float32 CSR (L, F) unit rows; Z: (L, D) unit rows; bonus: float32 (L,); searchable: bool (L,);
        share: what the cosine with Z counts for; in_order: whether labels come best first (a tenth of the search)
        or by number. Of several ranks each gives its labels; which words of a document count, the labels of all decide.
        """
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._num_labels = words.shape[0]
        everything = len(self._ids) == words.shape[0]
        columns = (words if everything else words[self._ids]).tocsc()
        labels = unsigned(columns.indices)
        few = len(self._ids) <= 1 << 16  # so that shorter numbers do, which take less time to read
        self._postings = columns.indptr, labels.astype(np.uint16) if few else labels, columns.data
        self._lengths = ranks.all_reduce_sum(np.diff(columns.indptr).astype(np.int64))
        self._Z = values_and_scale(Z if everything else Z[self._ids])
        self._bonus = np.ascontiguousarray(bonus[self._ids], np.float32)
        self._share, self._in_order = np.float32(share), in_order

    def with_bonus(self, bonus: Floats) -> WordIndex:
        """Return the same index with another bonus, float32 (L,)."""
        found = copy(self)
        found._bonus = np.ascontiguousarray(bonus[self._ids], np.float32)
        return found

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `neighbours.Index.search`."""
        assert X is not None, "an index of words searches by words"
        N = X.shape[0]
        indices, scores = np.empty((N, k), np.int32), np.empty((N, k), np.float32)
        found = min(k, len(self._ids))
        indices[:, found:], scores[:, found:] = self._num_labels, -np.inf
        num_proposed = min(PROPOSED * found, len(self._ids)) if self._share else found
        for start in range(0, N if found else 0, _BLOCK):
            block = slice(start, min(start + _BLOCK, N))
            rows = X if N <= _BLOCK else X[block]
            documents_, local = documents[block], np.empty((block.stop - start, found), np.int32)

            def kernel(first: int, last: int) -> None:
                _search(
                    rows.indptr, rows.indices, rows.data, *self._postings, self._lengths, self._bonus,  # noqa: B023
                    documents_, *self._Z, self._share, LIGHT, POSTINGS, num_proposed, self._in_order,  # noqa: B023
                    first, last, local, scores[block],  # noqa: B023
                )  # fmt: skip

            over_rows(block.stop - start, kernel)
            indices[block, :found] = self._ids[local]
            progress("shortlist", block.stop, N)
        return indices, scores


@njit(cache=True, nogil=True, fastmath=True)
def _search(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, w_offsets, w_rows, w_values, lengths, bonus, documents, Z, scale, share,
    light, budget, num_proposed, in_order, first, last, indices, scores,
):  # fmt: skip
    """Write the best labels of documents first, …, last - 1 and their scores, best first, ties by the lower label.

    Unless `in_order` they come by label. Labels lie in groups; a document whose words touch few labels costs time for
    their groups alone, any other for all labels.
    """
    num_labels, k = len(bonus), indices.shape[1]
    maxima = np.empty(min(MAXIMA * num_proposed, num_labels), np.float32)
    is_kept = np.zeros(8 * -(-num_labels // 8), np.bool_)
    shift = group_shift(num_labels, num_proposed)
    num_groups = ((num_labels - 1) >> shift) + 1
    total, touched = bonus.copy(), np.ones(num_groups, np.bool_)
    untouched_best = np.empty(num_groups, np.float32)
    refresh(total, touched, shift, untouched_best)
    best = untouched_best.copy()
    touched[:] = False
    kept = np.empty(num_labels, np.int32)
    values = np.empty(num_labels, np.float32)
    for i in range(first, last):
        own = slice(x_offsets[i], x_offsets[i + 1])
        columns, weights = heaviest(x_columns[own], x_values[own], light)
        touches_all = touch(columns, w_offsets, w_rows, num_labels, shift, touched)
        add_postings(columns, weights, w_offsets, w_rows, w_values, lengths, budget, total)
        if touches_all:
            count = collect_of_all(total, maxima, is_kept, num_proposed, kept, values)
        else:
            refresh(total, touched, shift, best)
            count = collect(total, best, shift, num_proposed, kept, values)
        if share > 0 or not in_order:
            count = cut(kept, values, count, num_proposed)
        if share > 0:
            _add_cosines(documents[i], Z, scale, share, kept[:count], values)
        if in_order:
            sort_best(kept, values, count)
        elif share > 0:
            cut(kept, values, count, k)
        for j in range(k):
            indices[i, j] = kept[j]
            scores[i, j] = values[j]
        if touches_all:
            for label in range(num_labels):
                total[label] = bonus[label]
        else:
            restore(bonus, untouched_best, touched, shift, total, best)


@njit(cache=True, nogil=True, fastmath=True)
def _add_cosines(document, Z, scale, share, labels, values):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add `share` of the cosine of a document's vector with those of labels to their values."""
    for j in range(len(labels)):
        vector, cosine = Z[labels[j]], np.float32(0)
        for d in range(len(vector)):
            cosine += document[d] * np.float32(vector[d])
        if scale is not None:
            cosine *= scale[labels[j]]
        values[j] += share * cosine
