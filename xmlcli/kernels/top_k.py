"""The largest of a few hundred or thousand numbers, compiled: NumPy's selection takes five times as long."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmlcli.arrays import Floats, Ints
from xmlcli.kernels.compiled import kernel

_LEAST = -(1 << 31)  # of int32
_UNSET = -(1 << 63)  # no label's key, of int64
_COUNTED = 256  # numbers, whose places are found sooner by counting the smaller ones of each than by sorting


@kernel
def _turned(bits: Any) -> Any:
    """Return a float32's bits, int32, as a whole number that orders like the float; of such a number, the bits."""
    return bits if bits >= 0 else _LEAST - bits


@kernel
def threshold(values: Floats, k: int) -> Any:
    """Return a number that the k largest (1 <= k <= n) of values float32 (n,) reach, and others only by being as large.

    Its bits are found by bisection. Each step counts how many values reach the middle, and the first that exactly k
    reach will do.
    """
    n, bits, room = len(values), values.view(np.int32), np.empty(len(values) + 1, np.int32)
    ordered = room[:n]
    for j in range(n):
        ordered[j] = _turned(bits[j])
    lowest = highest = ordered[0]
    for j in range(n):
        lowest, highest = min(lowest, ordered[j]), max(highest, ordered[j])
    least, most = np.int64(lowest), np.int64(highest)
    while least < most:
        middle, count = np.int32((least + most + 1) >> 1), np.int32(0)
        for j in range(n):  # by index, or the compiler does not vectorise
            count = np.int32(count + (ordered[j] >= middle))
        if count < k:
            most = np.int64(middle) - 1
        else:
            least = np.int64(middle)
            if count == k:
                break
    room[n] = _turned(least)
    return room[n:].view(np.float32)[0]


@kernel
def sort_best(labels: Ints, values: Floats, count: int) -> None:
    """Sort the first `count` labels by falling value, ties by rising label, in place: each pair as one number."""
    bits, keys, in_order = values[:count].view(np.int32), np.empty(count, np.int64), np.full(count, _UNSET)
    for j in range(count):
        keys[j] = (-np.int64(_turned(bits[j])) << 32) + np.int64(labels[j])
    if count <= _COUNTED:
        for key in keys:
            place: Any = 0
            for other in keys:
                place += other < key
            in_order[place] = key
        for j in range(1, count):  # equal keys, those of padding, have one place
            in_order[j] = in_order[j - 1] if in_order[j] == _UNSET else in_order[j]
    else:
        in_order[:] = np.sort(keys)
    for j in range(count):
        labels[j] = np.int32(in_order[j] & 0x7FFFFFFF)
        bits[j] = np.int32(_turned(-((in_order[j] - np.int64(labels[j])) >> 32)))


@kernel
def sort_rows(labels: Ints, total: Floats, first: int, last: int, indices: Ints, scores: Floats) -> None:
    """Write the labels of the largest totals of rows first, …, last - 1, best first, ties by the lower label."""
    m, k = labels.shape[1], indices.shape[1]
    kept, values = np.empty(m, np.int32), np.empty(m, np.float32)
    for i in range(first, last):
        least, count = threshold(total[i], k), 0
        for j in range(m):  # written whether wanted or not: a branch would cost more
            kept[count], values[count] = labels[i, j], total[i, j]
            count += total[i, j] >= least
        sort_best(kept, values, count)
        indices[i] = kept[:k]
        scores[i] = values[:k]
