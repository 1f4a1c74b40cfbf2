"""Phase 2 in the space of words: the labels whose word centroids are nearest, refined by their dense embeddings.

A label's score is `cos_words + bonus_l + share * cos_vectors`. An inverted file of the word centroids scores all labels
exactly by the first two terms and proposes twice as many as are wanted; the third term then decides among those.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit

from xmlcli.features import weigh_rows
from xmlcli.progress import Progress, silent
from xmlcli.ranks import ALONE, Ranks
from xmlcli.spectral import right_singular_vectors
from xmlcli.threads import over_rows

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_BLOCK = 4096
_HEAVIEST_WORDS = 50  # of a long document; the others are frequent words, which cost most and tell least
_PROPOSED = 2  # times as many labels as wanted
_BINS = 1024
_FLAT = np.float32(1e-30)  # scores closer than this share one bin: the inverse of its width would overflow
_SMALLEST = 0.03


def word_centroids(X: sp.csr_matrix, Y: sp.csr_matrix, label_text: sp.csr_matrix | None) -> sp.csr_matrix:
    """Return unit centroids of the labels' documents, their own text counted as one more; float32 CSR (L, F).

    Entries under 0.03 are dropped: frequent labels have thousands, which cost time and decide nothing.
    """
    sums = Y.T.tocsr() @ X
    found = weigh_rows(sums if label_text is None else (sums + label_text).tocsr(), None)
    found.data[found.data < _SMALLEST] = 0
    found.eliminate_zeros()
    return found


def spectral_tokens(words: sp.csr_matrix, dim: int, seed: int, ranks: Ranks = ALONE) -> Floats:
    """Return a vector for each word, float32 (F, dim): the right singular vectors of the labels' word centroids.

    Words of the same labels get vectors alike: what a document's exact words do not say, their neighbours may. A small
    collection has fewer singular vectors than `dim`; the other columns are zero. Of several ranks each gives its labels.
    """
    rank = min(dim, int(ranks.total(words.shape[0])), words.shape[1])
    found = np.zeros((words.shape[1], dim), np.float32)
    found[:, :rank] = right_singular_vectors(words, rank, seed, ranks)
    return found


def label_frequencies(Y: sp.csr_matrix) -> Floats:
    """Return the number of documents of each label, float32 (L,), of Y (N, L)."""
    return np.asarray(Y.getnnz(axis=0), np.float32)


class WordIndex:
    """Inverted file of label centroids; exact in its space, the same whatever the number of threads."""

    def __init__(
        self, words: sp.csr_matrix, Z: Floats, *, bonus: Floats, searchable: npt.NDArray[np.bool_], share: float
    ) -> None:
        """Keep what is searchable.

        words: float32 CSR (L, F) unit rows; Z: float32 (L, D) unit rows; bonus: float32 (L,); searchable: bool (L,);
        share: what the cosine with Z counts for.
        """
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._num_labels = words.shape[0]
        everything = len(self._ids) == words.shape[0]
        self._words = (words if everything else words[self._ids]).tocsc()
        self._Z = Z if everything else np.ascontiguousarray(Z[self._ids])
        self._bonus = np.ascontiguousarray(bonus[self._ids], np.float32)
        self._share = np.float32(share)

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `neighbours.Index.search`."""
        assert X is not None, "an index of words searches by words"
        N = X.shape[0]
        indices = np.full((N, k), self._num_labels, np.int32)
        scores = np.full((N, k), -np.inf, np.float32)
        found = min(k, len(self._ids))
        W, num_proposed = self._words, min(_PROPOSED * found, len(self._ids)) if self._share else found
        for start in range(0, N if found else 0, _BLOCK):
            block = slice(start, min(start + _BLOCK, N))
            rows = X if N <= _BLOCK else X[block]
            documents_, local = documents[block], np.empty((block.stop - start, found), np.int32)

            def kernel(first: int, last: int) -> None:
                _search(
                    rows.indptr, rows.indices, rows.data, W.indptr, W.indices, W.data, self._bonus, documents_, self._Z,  # noqa: B023
                    self._share, num_proposed, first, last, local, scores[block],  # noqa: B023
                )  # fmt: skip

            over_rows(block.stop - start, kernel)
            indices[block, :found] = self._ids[local]
            progress("shortlist", block.stop, N)
        return indices, scores


@njit(cache=True, nogil=True, fastmath=True)
def _search(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, w_offsets, w_rows, w_values, bonus, documents, Z, share, num_proposed, first, last,
    indices, scores,
):  # fmt: skip
    """Write the best labels of documents first, …, last - 1 and their scores, best first, ties by the lower label."""
    num_labels, k = len(bonus), indices.shape[1]
    total = np.empty(num_labels, np.float32)
    counts = np.empty((4, _BINS), np.int64)
    kept = np.empty(num_labels, np.int32)
    values = np.empty(num_labels, np.float32)
    keys = np.empty(num_labels, np.int64)
    for i in range(first, last):
        total[:] = bonus
        least = _least(x_values[x_offsets[i] : x_offsets[i + 1]])
        for p in range(x_offsets[i], x_offsets[i + 1]):
            value = x_values[p]
            if value >= least:
                of_word = slice(w_offsets[x_columns[p]], w_offsets[x_columns[p] + 1])
                rows, weights = w_rows[of_word], w_values[of_word]
                for q in range(len(rows)):
                    total[rows[q]] += value * weights[q]
        count = _collect(total, num_proposed, counts, kept, values)
        _sort(kept, values, count, keys)
        if share > 0:
            for j in range(num_proposed):
                label = kept[j]
                cosine = np.float32(0)
                for d in range(Z.shape[1]):
                    cosine += documents[i, d] * Z[label, d]
                values[j] = total[label] + share * cosine
            _sort(kept, values, num_proposed, keys)
        for j in range(k):
            indices[i, j] = kept[j]
            scores[i, j] = values[j]


@njit(cache=True, nogil=True)
def _sort(labels, values, count, keys):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sort the first `count` labels by falling value, ties by rising label, in place; `keys` int64 is room for it.

    A float32's bits order like whole numbers once those of negative floats are turned round; the label goes below them.
    """
    bits = values[:count].view(np.int32)
    for j in range(count):
        ordered = np.int64(bits[j]) if bits[j] >= 0 else np.int64(-2147483648) - np.int64(bits[j])
        keys[j] = (-ordered << 32) + np.int64(labels[j])
    keys[:count].sort()
    for j in range(count):
        labels[j] = np.int32(keys[j] & 0x7FFFFFFF)
        ordered = -((keys[j] - np.int64(labels[j])) >> 32)
        bits[j] = np.int32(ordered if ordered >= 0 else np.int64(-2147483648) - ordered)


@njit(cache=True, nogil=True)
def _least(values):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the weight from which on a document's words count."""
    if len(values) <= _HEAVIEST_WORDS:
        return np.float32(0)
    return np.partition(values, len(values) - _HEAVIEST_WORDS)[len(values) - _HEAVIEST_WORDS]


@njit(cache=True, nogil=True)
def _collect(total, wanted, counts, kept, values):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Put into `kept`, `values` at least `wanted` labels, all of the largest scores among them; return how many.

    A histogram of the scores shows where to cut; one bin more than needed comes in whole. It is counted in four, by
    turns: most labels fall into one bin, and each addition would wait for the one before. Labels come in ascending
    order.
    """
    low, high = _bounds(total)
    num_bins = counts.shape[1]
    scale = np.float32(num_bins - 1) / (high - low) if high - low > _FLAT else np.float32(0)
    counts[:] = 0
    for label in range(len(total)):
        counts[label & 3, int((total[label] - low) * scale)] += 1
    cut, missing = num_bins - 1, wanted - counts[:, num_bins - 1].sum()
    while missing > 0:
        cut -= 1
        missing -= counts[:, cut].sum()
    count, least = 0, np.float32(cut)
    for label in range(len(total)):
        if (total[label] - low) * scale >= least:
            kept[count], values[count] = label, total[label]
            count += 1
    return count


@njit(cache=True, nogil=True, fastmath=True)
def _bounds(values):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the smallest and the largest value."""
    low, high = values[0], values[0]
    for i in range(len(values)):
        low, high = min(low, values[i]), max(high, values[i])
    return low, high
