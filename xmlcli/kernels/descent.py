"""Dual coordinate descent (Hsieh et al. 2008, algorithm 1), compiled: the kernels of `xmlcli.classifiers.one_vs_rest`.

Two documents of three never move a weight. The bound of their shrinking (algorithm 3), the largest gradient of the pass
before, is passed by next to none in so few passes. Here every second pass leaves out the documents that had no reason
to move in the pass before it, and none moves while its gradient is within the tolerance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmlcli.arrays import Array, Bools, Floats, Ints, Longs
from xmlcli.kernels.compiled import fast_kernel, kernel
from xmlcli.kernels.csr import CsrRows, RowBuffer

_SHIFT = 19  # leaves a float's exponent and the first four bits behind it
_BUCKETS = 1 << (31 - _SHIFT)


class LabelProblems(NamedTuple):
    """The documents of each label's problem, grouped by label.

    Attributes:
        offsets: int64 (L + 1,); documents: int32, ascending for each label; signs: int8, 1 or -1.
    """

    offsets: Longs
    documents: Ints
    signs: Array


class LabelPairs(NamedTuple):
    """Pairs of a document and a label that it carries, or that its shortlist names.

    Attributes:
        y_indptr, y_labels: the labels that documents carry, as CSR (N, L).
        indptr, labels: the labels that are listed, likewise, padded with L.
        wanted: bool (L,), the labels that have a problem.
    """

    y_indptr: Array
    y_labels: Ints
    indptr: Array
    labels: Ints
    wanted: Bools


class Documents(NamedTuple):
    """What the problems are about.

    Attributes:
        X: features (N, F), its column numbers unsigned.
        squares: float32 (N,), the squared lengths of rows, the bias's 1 included.
    """

    X: CsrRows
    squares: Floats


class DescentOptions(NamedTuple):
    """The objective, and when descent ends; see `LinearConfig`.

    Attributes:
        C, tolerance, prune: float32.
        absent: float32, where the bias starts and is drawn to.
        max_passes, max_weights: whole numbers.
    """

    C: np.float32
    absent: np.float32
    max_passes: int
    tolerance: np.float32
    prune: np.float32
    max_weights: int


class Weights(NamedTuple):
    """One label's weights, dense, and which of them have been touched.

    Attributes:
        w: float32 (F + 1,), the bias last; zeros between two labels.
        touched: int32 (F + 1,), the columns touched, as they come.
        seen: bool (F + 1,), whether a column is in `touched`.
    """

    w: Floats
    touched: Ints
    seen: Bools


@kernel
def count_pairs(pairs: LabelPairs) -> Longs:
    """Return how many documents each label's problem has: those that carry it and those that list it."""
    y_indptr, y_labels, indptr, labels, wanted = pairs
    num_labels = len(wanted)
    counts, carried_by = np.zeros(num_labels, np.int64), np.full(num_labels, -1, np.int64)
    for document in range(len(y_indptr) - 1):
        for p in range(y_indptr[document], y_indptr[document + 1]):
            counts[y_labels[p]] += 1
            carried_by[y_labels[p]] = document
        for p in range(indptr[document], indptr[document + 1]):
            label = labels[p]
            if label < num_labels and wanted[label] and carried_by[label] != document:
                counts[label] += 1
    return counts


@kernel
def group_pairs(pairs: LabelPairs, offsets: Longs) -> tuple[Ints, Array]:
    """Return the documents of each label's problem, one label's after the other's, and their signs.

    offsets: int64 (L + 1,), where each label's begin, by the counts of `count_pairs`.
    """
    y_indptr, y_labels, indptr, labels, wanted = pairs
    num_labels = len(wanted)
    documents, signs = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int8)
    place, carried_by = offsets[:-1].copy(), np.full(num_labels, -1, np.int64)
    for document in range(len(y_indptr) - 1):
        for p in range(y_indptr[document], y_indptr[document + 1]):
            label = y_labels[p]
            documents[place[label]], signs[place[label]] = document, 1
            place[label] += 1
            carried_by[label] = document
        for p in range(indptr[document], indptr[document + 1]):
            label = labels[p]
            if label < num_labels and wanted[label] and carried_by[label] != document:
                documents[place[label]], signs[place[label]] = document, -1
                place[label] += 1
    return documents, signs


@kernel
def count_entries(x_indptr: Array, problems: LabelProblems) -> Longs:
    """Return how many entries the documents of each label's problem have together."""
    offsets, documents, _ = problems
    counts = np.zeros(len(offsets) - 1, np.int64)
    for label in range(len(counts)):
        for p in range(offsets[label], offsets[label + 1]):
            document = documents[p]
            counts[label] += x_indptr[document + 1] - x_indptr[document]
    return counts


@fast_kernel
def solve(
    documents: Documents, start: CsrRows, problems: LabelProblems, first_label: int, options: DescentOptions,
    out: RowBuffer,
) -> None:  # fmt: skip
    """Solve consecutive labels, the first of them `first_label`; write each one's weights, columns ascending, to `out`.

    start: (L', F), where the weights start and are drawn to; problems: of the same L' labels.
    """
    F = documents.X.shape[1]
    w, touched, seen = np.zeros(F + 1, np.float32), np.empty(F + 1, np.int32), np.zeros(F + 1, np.bool_)
    histogram, square_sums = np.empty(_BUCKETS, np.int64), np.empty(_BUCKETS, np.float32)
    columns, values = out.columns, out.values
    for label in range(len(out.counts)):
        num_touched = 0
        for p in range(start.indptr[label], start.indptr[label + 1]):
            w[start.indices[p]] = start.data[p]
            seen[start.indices[p]] = True
            touched[num_touched] = start.indices[p]
            num_touched += 1
        own = slice(problems.offsets[label], problems.offsets[label + 1])
        w[F] = options.absent if own.stop > own.start else np.float32(0)
        np.random.seed(np.int64(first_label + label))  # noqa: NPY002  numba has no Generator; this one is the thread's
        num_touched = _descend(
            documents, problems.documents[own], problems.signs[own], Weights(w, touched, seen), num_touched, options
        )
        least = _least_kept(w, touched[:num_touched], options, histogram, square_sums)
        count, begin = 0, out.begin[label]
        for t in range(num_touched):
            if abs(w[touched[t]]) > least:
                columns[begin + count] = touched[t]
                count += 1
        columns[begin : begin + count].sort()
        for at in range(begin, begin + count):
            values[at] = w[columns[at]]
        for t in range(num_touched):
            w[touched[t]] = 0
            seen[touched[t]] = False
        columns[begin + count], values[begin + count] = F, w[F]
        w[F] = 0
        out.counts[label] = count + 1


@fast_kernel
def _least_kept(w: Floats, touched: Ints, options: DescentOptions, counts: Longs, squares: Floats) -> np.float32:
    """Return the size up to which the weights of the columns `touched` are dropped.

    Together they hold at most `prune` of the squared length, or are too many. `counts` int64 and `squares` float32
    (_BUCKETS,) are room for a histogram by the first bits of the sizes, of which only one bucket has to be sorted.
    """
    counts[:], squares[:] = 0, 0
    sizes = np.empty(len(touched), np.float32)
    bits = sizes.view(np.int32)
    for t in range(len(touched)):
        sizes[t] = abs(w[touched[t]])
        bucket = bits[t] >> _SHIFT
        counts[bucket] += 1
        squares[bucket] += sizes[t] * sizes[t]
    limit, dropped, left, bucket = options.prune * squares.sum(), np.float32(0), len(touched), 0
    while bucket < _BUCKETS and (dropped + squares[bucket] <= limit or left - counts[bucket] >= options.max_weights):
        dropped += squares[bucket]
        left -= counts[bucket]
        bucket += 1
    least, partly = np.float32(0), sizes[:0].copy()
    for t in range(len(touched)):
        if bits[t] >> _SHIFT < bucket:
            least = max(least, sizes[t])
    if bucket < _BUCKETS:
        partly = np.sort(sizes[bits >> _SHIFT == bucket])
    for size in partly:
        dropped += size * size
        if dropped > limit and left <= options.max_weights:
            break
        least = size
        left -= 1
    return least


@kernel
def _touch(columns: Array, touched: Ints, seen: Bools, num_touched: int) -> int:
    """Note columns in `touched` that were not seen before; return how many it holds."""
    for column in columns:
        if not seen[column]:
            seen[column] = True
            touched[num_touched] = column
            num_touched += 1
    return num_touched


@kernel
def _shuffle(order: Longs) -> None:
    for j in range(len(order) - 1, 0, -1):
        other = np.random.randint(0, j + 1)  # noqa: NPY002
        order[j], order[other] = order[other], order[j]


@fast_kernel
def _descend(
    documents: Documents, rows: Ints, signs: Array, weights: Weights, num_touched: int, options: DescentOptions
) -> int:
    """Minimise one label's problem, that of `rows` of the documents; return how many columns have been touched."""
    x_indptr, x_indices, x_data, squares = documents.X.indptr, documents.X.indices, documents.X.data, documents.squares
    w, C = weights.w, options.C
    num = len(rows)
    alpha = np.zeros(num, np.float32)
    diagonal = np.float32(0.5) / C
    bias = len(w) - 1
    order = np.arange(num)
    active = num
    for sweep in range(options.max_passes):
        if sweep % 2 == 0:
            active = num
        _shuffle(order[:active])
        moved = False
        at = 0
        while at < active:
            j = order[at]
            document, sign = rows[j], np.float32(signs[j])
            own = slice(x_indptr[document], x_indptr[document + 1])
            columns, values = x_indices[own], x_data[own]
            score = w[bias]
            for q in range(len(columns)):  # without an offset, or the compiler does not vectorise
                score += w[columns[q]] * values[q]
            gradient = sign * score - 1 + alpha[j] * diagonal
            if alpha[j] == 0 and gradient >= 0:
                active -= 1
                order[at], order[active] = order[active], order[at]
                continue
            at += 1
            if abs(gradient) < options.tolerance:
                continue
            moved = True
            before = alpha[j]
            alpha[j] = max(before - gradient / (squares[document] + diagonal), np.float32(0))
            delta = (alpha[j] - before) * sign
            if before == 0:  # most documents never come here
                num_touched = _touch(columns, weights.touched, weights.seen, num_touched)
            for q in range(len(columns)):
                w[columns[q]] += delta * values[q]
            w[bias] += delta
        if sweep % 2 == 0 and not moved:
            break
    return num_touched
