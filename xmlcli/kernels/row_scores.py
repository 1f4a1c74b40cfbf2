"""Scores of documents' candidates by sparse rows, one row a label: compiled.

A label that many of the documents have among their candidates is scored for all of them at once: its row is written out
with its zeros, and each document looks up its own features. Any other label is scored document by document: the
document is written out, and the row's entries look it up. Which of the two reads fewer numbers decides, label by label.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit

from xmlcli.arrays import Floats, Ints
from xmlcli.kernels.csr import unsigned
from xmlcli.machine.threads import over_rows

_PAIR = 64  # numbers read in the time it takes to come from one document of a label to the next
_PLACE = 32  # and to find out which documents have it


class SparseRows(NamedTuple):
    """CsrRows of R labels: `scale` times the values, plus `bias`.

    Attributes:
        offsets: int32 or int64 (R + 1,), where each row begins.
        columns: whole numbers (nnz,) up to F; column F counts for every document.
        values: numbers (nnz,).
        scale, bias: float32 (R,).
    """

    offsets: npt.NDArray[Any]
    columns: npt.NDArray[Any]
    values: npt.NDArray[Any]
    scale: Floats
    bias: Floats

    @staticmethod
    def of(W: sp.csr_matrix) -> SparseRows:
        """Return the rows of W float32 CSR (R, F), or (R, F + 1) with a last column of biases, without copying them."""
        nothing = np.zeros(W.shape[0], np.float32)
        return SparseRows(W.indptr, W.indices, W.data, np.ones(W.shape[0], np.float32), nothing)


def score_rows(X: sp.csr_matrix, rows: SparseRows, candidates: Ints) -> Floats:
    """Return each document's product with its candidates' rows: float32 (N, k), 0 for padding.

    X: float32 CSR (N, F); candidates: int32 (N, k), padded with R. A score's last bits depend on how many of the
    documents share the candidate, and on nothing else.
    """
    (N, F), R = X.shape, len(rows.scale)
    scores, candidates = np.zeros(candidates.shape, np.float32), np.ascontiguousarray(candidates)
    rows = rows._replace(columns=unsigned(rows.columns))
    documents = X.indptr, unsigned(X.indices), X.data
    by_label, length = np.zeros(R, np.bool_), X.nnz / max(N, 1)
    # where no row is so long, or labels are many, counting costs more than it may save
    if candidates.size > R and np.diff(rows.offsets).max(initial=0) > length + _PAIR:
        by_label, ends, places = _group(candidates, rows.offsets, length)
        of_labels, flat, k = np.flatnonzero(by_label), scores.reshape(-1), candidates.shape[1]

        def of_each(first: int, last: int) -> None:
            _by_label(*documents, *rows, F, of_labels[first:last], ends, places, k, flat)

        over_rows(len(of_labels), of_each)
    over_rows(N, lambda first, last: _by_document(*documents, *rows, F, by_label, candidates, first, last, scores))
    return scores


@njit(cache=True, nogil=True)
def _group(candidates, offsets, mean_length):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Choose the labels to be scored for all their documents at once; return which, bool (R,), and their candidates.

    Those of label l are places[ends[l] : ends[l + 1]], where they stand in `candidates`, counted row by row. No label
    is chosen where all together would save less than they cost. mean_length: of a document, in features.
    """
    num_labels, flat = len(offsets) - 1, candidates.reshape(-1)
    counts = np.zeros(num_labels + 1, np.int64)
    for label in flat:
        counts[label] += 1
    by_label, saved = np.zeros(num_labels + 1, np.bool_), 0.0
    for label in range(num_labels):
        length = offsets[label + 1] - offsets[label]
        less = counts[label] * (length - mean_length - _PAIR) - 2 * length
        by_label[label] = less > 0
        saved += max(less, 0)
    by_label &= saved > _PLACE * len(flat)
    ends = np.append(0, np.cumsum(by_label[:-1] * counts[:-1]))
    places, next_place = np.empty(ends[-1], np.int64), ends.copy()
    for place in range(len(flat)):
        label = flat[place]
        if by_label[label]:
            places[next_place[label]] = place
            next_place[label] += 1
    return by_label[:-1], ends, places


@njit(cache=True, nogil=True, fastmath=True)
def _by_label(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, offsets, columns, values, scale, bias, num_features, labels, ends, places, k, scores
):
    w = np.zeros(num_features + 1, np.float32)
    for label in labels:
        of_row = slice(offsets[label], offsets[label + 1])
        row_columns, row_values = columns[of_row], values[of_row]
        for q in range(len(row_columns)):
            w[row_columns[q]] = row_values[q]
        for place in places[ends[label] : ends[label + 1]]:
            i = place // k
            own = slice(x_offsets[i], x_offsets[i + 1])
            own_columns, own_values = x_columns[own], x_values[own]
            score = w[num_features]
            for p in range(len(own_columns)):
                score += own_values[p] * w[own_columns[p]]
            scores[place] = score * scale[label] + bias[label]
        for column in row_columns:
            w[column] = 0


@njit(cache=True, nogil=True, fastmath=True)
def _by_document(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, offsets, columns, values, scale, bias, num_features, by_label, candidates,
    first, last, scores,
):  # fmt: skip
    """Score the candidates of documents first, …, last - 1 but those of labels that `by_label` names."""
    x = np.zeros(num_features + 1, np.float32)
    x[num_features] = 1
    for i in range(first, last):
        for p in range(x_offsets[i], x_offsets[i + 1]):
            x[x_columns[p]] = x_values[p]
        for j in range(candidates.shape[1]):
            label = candidates[i, j]
            if label < len(scale) and not by_label[label]:
                score = np.float32(0)
                of_row = slice(offsets[label], offsets[label + 1])
                row_columns, row_values = columns[of_row], values[of_row]
                for q in range(len(row_columns)):  # without an offset, or the compiler does not vectorise
                    score += np.float32(row_values[q]) * x[row_columns[q]]
                scores[i, j] = score * scale[label] + bias[label]
        for p in range(x_offsets[i], x_offsets[i + 1]):
            x[x_columns[p]] = 0
