"""Dual coordinate descent (Hsieh et al. 2008, algorithm 1), compiled: the kernels of `xmlcli.classifiers.one_vs_rest`.

Two documents of three never move a weight. The bound of their shrinking (algorithm 3), the largest gradient of the pass
before, is passed by next to none in so few passes. Here every second pass leaves out the documents that had no reason
to move in the pass before it, and none moves while its gradient is within the tolerance.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_SHIFT = 19  # leaves a float's exponent and the first four bits behind it
_BUCKETS = 1 << (31 - _SHIFT)


@njit(cache=True, nogil=True)
def count_pairs(y_offsets, y_labels, offsets, labels, wanted):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return how many documents each label's problem has: those that carry it and those that list it."""
    counts, carried_by = np.zeros(len(wanted), np.int64), np.full(len(wanted), -1, np.int64)
    for document in range(len(y_offsets) - 1):
        for p in range(y_offsets[document], y_offsets[document + 1]):
            counts[y_labels[p]] += 1
            carried_by[y_labels[p]] = document
        for p in range(offsets[document], offsets[document + 1]):
            label = labels[p]
            if label < len(wanted) and wanted[label] and carried_by[label] != document:
                counts[label] += 1
    return counts


@njit(cache=True, nogil=True)
def group_pairs(y_offsets, y_labels, offsets, labels, wanted, ends):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the documents of each label's problem, one label's after the other's, and their signs.

    `ends` int64 (L + 1,): where each label's begin, by the counts of `count_pairs`.
    """
    documents, signs = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int8)
    place, carried_by = ends[:-1].copy(), np.full(len(wanted), -1, np.int64)
    for document in range(len(y_offsets) - 1):
        for p in range(y_offsets[document], y_offsets[document + 1]):
            label = y_labels[p]
            documents[place[label]], signs[place[label]] = document, 1
            place[label] += 1
            carried_by[label] = document
        for p in range(offsets[document], offsets[document + 1]):
            label = labels[p]
            if label < len(wanted) and wanted[label] and carried_by[label] != document:
                documents[place[label]], signs[place[label]] = document, -1
                place[label] += 1
    return documents, signs


@njit(cache=True, nogil=True)
def count_entries(x_offsets, offsets, documents):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return how many entries the documents of each label's problem have together."""
    counts = np.zeros(len(offsets) - 1, np.int64)
    for label in range(len(counts)):
        for p in range(offsets[label], offsets[label + 1]):
            counts[label] += x_offsets[documents[p] + 1] - x_offsets[documents[p]]
    return counts


@njit(cache=True, fastmath=True, nogil=True)
def solve(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, squares, s_offsets, s_columns, s_values, offsets, documents, signs, room, first,
    end, first_label, F, C, absent, max_passes, tolerance, prune, max_weights, counts, columns, values,
):  # fmt: skip
    """Solve the labels first, …, end - 1, each in its own place of `columns`, which ascend, and `values`.

    `squares` float32 (N,) are the documents' squared lengths, the bias's 1 included.
    """
    w = np.zeros(F + 1, np.float32)
    touched = np.empty(F + 1, np.int32)
    seen = np.zeros(F + 1, np.bool_)
    histogram, square_sums = np.empty(_BUCKETS, np.int64), np.empty(_BUCKETS, np.float32)
    for label in range(first, end):
        num_touched = 0
        for p in range(s_offsets[label], s_offsets[label + 1]):
            w[s_columns[p]] = s_values[p]
            seen[s_columns[p]] = True
            touched[num_touched] = s_columns[p]
            num_touched += 1
        own = slice(offsets[label], offsets[label + 1])
        w[F] = absent if own.stop > own.start else np.float32(0)
        num_touched = _descend(
            x_offsets, x_columns, x_values, squares, documents[own], signs[own], w, touched, seen, num_touched,
            C, max_passes, tolerance, np.int64(first_label + label),
        )  # fmt: skip
        count, least = 0, _least_kept(w, touched, num_touched, prune, max_weights, histogram, square_sums)
        begin = room[label - first]
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
        counts[label - first] = count + 1


@njit(cache=True, fastmath=True, nogil=True)
def _least_kept(w, touched, num_touched, prune, max_weights, counts, squares):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the size up to which weights are dropped.

    Together they hold at most `prune` of the squared length, or are too many. `counts` int64 and `squares` float32
    (_BUCKETS,) are room for a histogram by the first bits of the sizes, of which only one bucket has to be sorted.
    """
    counts[:], squares[:] = 0, 0
    sizes = np.empty(num_touched, np.float32)
    bits = sizes.view(np.int32)
    for t in range(num_touched):
        sizes[t] = abs(w[touched[t]])
        bucket = bits[t] >> _SHIFT
        counts[bucket] += 1
        squares[bucket] += sizes[t] * sizes[t]
    limit, dropped, left, bucket = prune * squares.sum(), np.float32(0), num_touched, 0
    while bucket < _BUCKETS and (dropped + squares[bucket] <= limit or left - counts[bucket] >= max_weights):
        dropped += squares[bucket]
        left -= counts[bucket]
        bucket += 1
    least, partly = np.float32(0), sizes[:0].copy()
    for t in range(num_touched):
        if bits[t] >> _SHIFT < bucket:
            least = max(least, sizes[t])
    if bucket < _BUCKETS:
        partly = np.sort(sizes[bits >> _SHIFT == bucket])
    for size in partly:
        dropped += size * size
        if dropped > limit and left <= max_weights:
            break
        least = size
        left -= 1
    return least


@njit(cache=True, nogil=True)
def _touch(columns, touched, seen, num_touched):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Note columns in `touched` that were not seen before; return how many it holds."""
    for column in columns:
        if not seen[column]:
            seen[column] = True
            touched[num_touched] = column
            num_touched += 1
    return num_touched


@njit(cache=True, nogil=True)
def _shuffle(order):  # type: ignore[no-untyped-def]  # pragma: no cover
    for j in range(len(order) - 1, 0, -1):
        other = np.random.randint(0, j + 1)  # noqa: NPY002
        order[j], order[other] = order[other], order[j]


@njit(cache=True, fastmath=True, nogil=True)
def _descend(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, squares, documents, signs, w, touched, seen, num_touched,
    C, max_passes, tolerance, seed,
):  # fmt: skip
    """Minimise one label's problem in place of w (F + 1,), the bias last; return how many columns of w were moved."""
    num = len(documents)
    alpha = np.zeros(num, np.float32)
    diagonal = np.float32(0.5) / C
    bias = len(w) - 1
    order = np.arange(num)
    np.random.seed(seed)  # noqa: NPY002  numba has no Generator in parallel code; this one is the thread's own
    active = num
    for number in range(max_passes):
        if number % 2 == 0:
            active = num
        _shuffle(order[:active])
        moved = False
        at = 0
        while at < active:
            j = order[at]
            document, sign = documents[j], np.float32(signs[j])
            of_row = slice(x_offsets[document], x_offsets[document + 1])
            row_columns, row_values = x_columns[of_row], x_values[of_row]
            score = w[bias]
            for q in range(len(row_columns)):  # without an offset, or the compiler does not vectorise
                score += w[row_columns[q]] * row_values[q]
            gradient = sign * score - 1 + alpha[j] * diagonal
            if alpha[j] == 0 and gradient >= 0:
                active -= 1
                order[at], order[active] = order[active], order[at]
                continue
            at += 1
            if abs(gradient) < tolerance:
                continue
            moved = True
            before = alpha[j]
            alpha[j] = max(before - gradient / (squares[document] + diagonal), np.float32(0))
            delta = (alpha[j] - before) * sign
            if before == 0:  # most documents never come here
                num_touched = _touch(row_columns, touched, seen, num_touched)
            for q in range(len(row_columns)):
                w[row_columns[q]] += delta * row_values[q]
            w[bias] += delta
        if number % 2 == 0 and not moved:
            break
    return num_touched
