"""Scores of documents' candidates by sparse rows, one row a label: compiled.

A label that many of the documents have among their candidates is scored for all of them at once: its row is written out
with its zeros, and each document looks up its own features. Any other label is scored document by document: the
document is written out, and the row's entries look it up. Which of the two reads fewer numbers decides, label by label.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array, Bools, Floats, Ints, Longs
from xmlcli.kernels.compiled import fast_kernel, kernel
from xmlcli.kernels.csr import CsrRows, unsigned
from xmlcli.machine.threads import over_rows

_PAIR = 64  # numbers read in the time it takes to come from one document of a label to the next
_LOOKUP = 32  # and to find out which documents have it


class SparseRows(NamedTuple):
    """Rows of R labels: `scale` times the values, plus `bias`.

    Attributes:
        indptr: int32 or int64 (R + 1,), where each row begins.
        indices: whole numbers (nnz,) up to F; column F counts for every document.
        data: numbers (nnz,).
        scale, bias: float32 (R,).
    """

    indptr: Array
    indices: Array
    data: Array
    scale: Floats
    bias: Floats

    @staticmethod
    def of(W: sp.csr_matrix) -> SparseRows:
        """Return the rows of W float32 CSR (R, F), or (R, F + 1) with a last column of biases, without copying them."""
        nothing = np.zeros(W.shape[0], np.float32)
        return SparseRows(W.indptr, W.indices, W.data, np.ones(W.shape[0], np.float32), nothing)


class LabelCandidacies(NamedTuple):
    """Where the labels that are scored for all their documents at once stand among the candidates.

    Attributes:
        by_label: bool (R,), whether a label is scored so.
        offsets: int64 (R + 1,), where each label's cells begin.
        cells: int64, positions in the candidates (N, k), counted row by row.
    """

    by_label: Bools
    offsets: Longs
    cells: Longs


def score_rows(X: sp.csr_matrix, rows: SparseRows, candidates: Ints, *, independent: bool = False) -> Floats:
    """Return each document's product with its candidates' rows: float32 (N, k), 0 for padding.

    X: float32 CSR (N, F); candidates: int32 (N, k), padded with R. A score's last bits depend on how many of the
    documents share the candidate, and on nothing else; where they shall be `independent` of it, all is done document by
    document, in up to twice the time.
    """
    N, R = X.shape[0], len(rows.scale)
    scores, candidates = np.zeros(candidates.shape, np.float32), np.ascontiguousarray(candidates)
    rows = rows._replace(indices=unsigned(rows.indices))
    documents = CsrRows.of(X).unsigned()
    by_label, length = np.zeros(R, np.bool_), X.nnz / max(N, 1)
    # where no row is so long, or labels are many, counting costs more than it may save
    if not independent and candidates.size > R and np.diff(rows.indptr).max(initial=0) > length + _PAIR:
        grouped = _group(candidates, rows.indptr, length)
        by_label = grouped.by_label
        labels = np.flatnonzero(by_label)
        over_rows(len(labels), lambda first, last: _by_label(documents, rows, labels[first:last], grouped, scores))
    over_rows(N, lambda first, last: _by_document(documents, rows, by_label, candidates, first, last, scores))
    return scores


@kernel
def _group(candidates: Ints, indptr: Array, mean_length: float) -> LabelCandidacies:
    """Choose the labels to be scored for all their documents at once, and group their candidacies.

    No label is chosen where all together would save less than they cost. mean_length: of a document, in features.
    """
    num_labels, flat = len(indptr) - 1, candidates.reshape(-1)
    counts = np.zeros(num_labels + 1, np.int64)
    for cell in range(len(flat)):
        counts[flat[cell]] += 1
    by_label, saved = np.zeros(num_labels + 1, np.bool_), 0.0
    for label in range(num_labels):
        length = indptr[label + 1] - indptr[label]
        less = counts[label] * (length - mean_length - _PAIR) - 2 * length
        by_label[label] = less > 0
        saved += max(less, 0)
    by_label &= saved > _LOOKUP * len(flat)
    offsets = np.append(0, np.cumsum(by_label[:-1] * counts[:-1]))
    cells, next_cell = np.empty(offsets[-1], np.int64), offsets.copy()
    for cell in range(len(flat)):
        label = flat[cell]
        if by_label[label]:
            cells[next_cell[label]] = cell
            next_cell[label] += 1
    return LabelCandidacies(by_label[:-1], offsets, cells)


@fast_kernel
def _by_label(X: CsrRows, rows: SparseRows, labels: Longs, grouped: LabelCandidacies, scores: Floats) -> None:
    """Score labels for all documents that have them among their candidates."""
    x_indptr, x_indices, x_data, (_, num_features) = X  # once: each look into a tuple counts a reference
    indptr, indices, data, scale, bias = rows
    k, flat = scores.shape[1], scores.reshape(-1)
    w = np.zeros(num_features + 1, np.float32)
    for label in labels:
        of_row = slice(indptr[label], indptr[label + 1])
        columns, values = indices[of_row], data[of_row]
        for q in range(len(columns)):
            w[columns[q]] = values[q]
        for cell in grouped.cells[grouped.offsets[label] : grouped.offsets[label + 1]]:
            i = cell // k
            own = slice(x_indptr[i], x_indptr[i + 1])
            own_columns, own_values = x_indices[own], x_data[own]
            score = w[num_features]
            for p in range(len(own_columns)):
                score += own_values[p] * w[own_columns[p]]
            flat[cell] = score * scale[label] + bias[label]
        for column in columns:
            w[column] = 0


@fast_kernel
def _by_document(
    X: CsrRows, rows: SparseRows, by_label: Bools, candidates: Ints, first: int, last: int, scores: Floats
) -> None:
    """Score the candidates of documents first, …, last - 1 but those of labels that `by_label` names."""
    x_indptr, x_indices, x_data, (_, num_features) = X  # once: each look into a tuple counts a reference
    indptr, indices, data, scale, bias = rows
    x = np.zeros(num_features + 1, np.float32)
    x[num_features] = 1
    for i in range(first, last):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            x[x_indices[p]] = x_data[p]
        for j in range(candidates.shape[1]):
            label = candidates[i, j]
            if label < len(scale) and not by_label[label]:
                score = np.float32(0)
                of_row = slice(indptr[label], indptr[label + 1])
                columns, values = indices[of_row], data[of_row]
                for q in range(len(columns)):  # without an offset, or the compiler does not vectorise
                    score += np.float32(values[q]) * x[columns[q]]
                scores[i, j] = score * scale[label] + bias[label]
        for p in range(x_indptr[i], x_indptr[i + 1]):
            x[x_indices[p]] = 0
