"""The columns of the largest scores, of a block of products that may be a little wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmlcli.arrays import Floats, Longs
from xmlcli.kernels.compiled import fast_kernel, kernel


@fast_kernel
def _dot(a: Floats, b: Floats) -> Any:
    total = np.float32(0)
    for d in range(a.shape[0]):
        total += a[d] * b[d]
    return total


@kernel
def top_k_within(
    S: Floats, F: Floats, Z: Floats, bonus: Floats, margin: np.float32, first: int, last: int, indices: Longs,
    scores: Floats,
) -> None:  # fmt: skip
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


@kernel
def _keep(kept: Longs, values: Floats, count: int, threshold: np.float32) -> int:
    """Move the columns of values from `threshold` on to the front; return how many they are."""
    new = 0
    for i in range(count):
        if values[i] >= threshold:
            kept[new], values[new] = kept[i], values[i]
            new += 1
    return new
