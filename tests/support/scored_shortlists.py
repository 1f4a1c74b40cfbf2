"""Shortlists with padding, and scores of what is on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
N, L, K = 30, 12, 8


def candidates_with_padding(seed: int = 0) -> Ints:
    found = np.argsort(np.random.default_rng(seed).random((N, L)), axis=1)[:, :K].astype(np.int32)
    found[::4, 5:] = L
    found[3] = L
    return found


def random_scores(seed: int, *names: str) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((N, K)).astype(np.float32) for name in names}
