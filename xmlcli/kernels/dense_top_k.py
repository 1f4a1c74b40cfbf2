"""The columns of the largest scores, of a block of products that may be a little wrong."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(fastmath=True, cache=True, nogil=True)
def _dot(a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    total = np.float32(0)
    for d in range(a.shape[0]):
        total += a[d] * b[d]
    return total


@njit(cache=True, nogil=True)
def top_k_within(S, F, Z, bonus, margin, first, last, indices, scores):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the k best columns of rows first, …, last - 1 of S (B, L') by S + bonus, in order, ties by column.

    S may be wrong by `margin / 2`, then the columns that can be among the best are scored anew as F Z'; with a margin
    of 0 it is taken as it is.
    """
    num_columns, k = S.shape[1], indices.shape[1]
    kept = np.empty(num_columns, np.int64)
    values = np.empty(num_columns, np.float32)
    for row in range(first, last):
        # a first pass over S with a rising threshold leaves few columns for the selection
        count, threshold, limit = 0, np.float32(-np.inf), 4 * k + 64
        for column in range(num_columns):
            value = S[row, column] + bonus[column]
            if value >= threshold:
                kept[count], values[count] = column, value
                count += 1
                if count >= limit:
                    threshold = np.partition(values[:count], count - k)[count - k] - margin
                    count = _keep(kept, values, count, threshold)
                    limit = min(num_columns + 1, max(limit, 2 * count))
        threshold = np.partition(values[:count], count - k)[count - k] - margin
        count = _keep(kept, values, count, threshold)
        if margin > 0:
            for i in range(count):
                values[i] = bonus[kept[i]] + _dot(F[row], Z[kept[i]])
        order = np.argsort(-values[:count], kind="mergesort")
        for i in range(k):
            indices[row, i] = kept[order[i]]
            scores[row, i] = values[order[i]]


@njit(cache=True, nogil=True)
def _keep(kept, values, count, threshold):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Move the columns of values from `threshold` on to the front; return how many they are."""
    new = 0
    for i in range(count):
        if values[i] >= threshold:
            kept[new], values[new] = kept[i], values[i]
            new += 1
    return new
