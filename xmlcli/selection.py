"""The largest of a few hundred or thousand numbers, compiled: NumPy's selection takes five times as long."""

from __future__ import annotations

import numpy as np
from numba import njit

_BUCKETS = 512
_FAR = np.float32(1e30)  # from what is padded with infinity no k-th largest can be taken


@njit(cache=True, nogil=True, fastmath=True)
def _range(values):  # type: ignore[no-untyped-def]  # pragma: no cover
    smallest = largest = values[0]
    for value in values:
        smallest, largest = min(smallest, value), max(largest, value)
    return smallest, largest


@njit(cache=True, nogil=True)
def _bucket(value, smallest, scale):  # type: ignore[no-untyped-def]  # pragma: no cover
    return min(max(int((value - smallest) * scale), 0), _BUCKETS - 1)


@njit(cache=True, nogil=True)
def kth_largest(values, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the k-th largest (1 is the largest) of finite numbers, float32 (n,), 1 <= k <= n.

    A histogram says in which bucket it lies; only that one is sorted.
    """
    smallest, largest = _range(values)
    if smallest == largest:
        return smallest
    scale = np.float32(_BUCKETS - 1) / (largest - smallest)
    counts = np.zeros(_BUCKETS, np.int32)
    for value in values:
        counts[_bucket(value, smallest, scale)] += 1
    bucket, above = _BUCKETS - 1, 0
    while above + counts[bucket] < k:
        above += counts[bucket]
        bucket -= 1
    inside = np.empty(counts[bucket], np.float32)
    count = 0
    for value in values:
        if _bucket(value, smallest, scale) == bucket:
            inside[count] = value
            count += 1
    return np.sort(inside)[count - (k - above)]


@njit(cache=True, nogil=True)
def sort_best(labels, values, count, keys):  # type: ignore[no-untyped-def]  # pragma: no cover
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
def sort_rows(labels, total, first, last, indices, scores):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the labels of the largest totals of rows first, …, last - 1, best first, ties by the lower label."""
    m, k = labels.shape[1], indices.shape[1]
    kept, values, keys = np.empty(m, np.int32), np.empty(m, np.float32), np.empty(m, np.int64)
    for i in range(first, last):
        padded = total[i].min() < -_FAR
        least, count = -np.float32(np.inf) if padded else kth_largest(total[i], k), 0
        for j in range(m):  # written whether wanted or not: a branch would cost more
            kept[count], values[count] = labels[i, j], total[i, j]
            count += total[i, j] >= least
        sort_best(kept, values, count, keys)
        indices[i] = kept[:k]
        scores[i] = values[:k]
