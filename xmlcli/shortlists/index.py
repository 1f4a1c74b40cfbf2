"""What every index of labels does."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.progress import Progress, silent


class Index(Protocol):
    """Finds the nearest labels."""

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """Return `indices` int32 (N, k), best first, padded with L, and `scores` float32 (N, k), padded with -inf.

        `documents` float32 (N, D) have unit or zero length; `X` float32 CSR (N, F) are the same documents' words, which
        an index of words needs. Ties are broken by the lower label id.
        """


def empty_shortlists(N: int, k: int, num_labels: int) -> tuple[Ints, Floats]:
    """Return labels and scores (N, k) of padding alone, to be written over."""
    return np.full((N, k), num_labels, np.int32), np.full((N, k), -np.inf, np.float32)


def pad_shortlists(labels: Ints, scores: Floats, k: int, num_labels: int) -> tuple[Ints, Floats]:
    """Return labels and scores (N, at most k) as (N, k), padded with L and -inf."""
    missing = ((0, 0), (0, k - labels.shape[1]))
    if missing[1][1] == 0:
        return labels, scores
    return np.pad(labels, missing, constant_values=num_labels), np.pad(scores, missing, constant_values=-np.inf)
