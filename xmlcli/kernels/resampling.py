"""Draws with replacement, for the bootstrap: how often each of n items is drawn in n draws."""

from __future__ import annotations

import numpy as np

from xmlcli.arrays import Doubles
from xmlcli.kernels.compiled import kernel


@kernel
def count_draws(seed: int, number: int, first: int, last: int, counts: Doubles) -> None:
    """Write in rows first, …, last - 1 of `counts`, float64 (B, n), how often each item is drawn.

    Row 0 is the draw of that number. Every draw has a random sequence of its own, which follows from the seed and its
    number alone: SplitMix64 (Steele, Lea and Flood 2014), of whose output each half chooses an item by multiplication
    (Lemire 2019). n is below 2**32. Small integers, which stay in the cache, count six times as fast as `counts` would.
    """
    size = counts.shape[1]
    n, step, shift = np.uint64(size), np.uint64(0x9E3779B97F4A7C15), np.uint64(32)
    lower, one = np.uint64(0xFFFFFFFF), np.uint16(1)
    drawn = np.zeros(size, np.uint16)
    for row in range(first, last):
        drawn[:] = 0
        state = np.uint64(seed) + step * _mixed(np.uint64(number + row + 1))
        for _ in range(size // 2):
            state += step
            bits = _mixed(state)
            drawn[((bits >> shift) * n) >> shift] += one
            drawn[((bits & lower) * n) >> shift] += one
        if size % 2:
            drawn[((_mixed(state + step) >> shift) * n) >> shift] += one
        for item in range(size):
            counts[row, item] = drawn[item]


@kernel
def _mixed(state: np.uint64) -> np.uint64:
    """Return the output of SplitMix64 for a state."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
