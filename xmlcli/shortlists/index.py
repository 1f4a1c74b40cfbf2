"""What every index of labels does."""

from __future__ import annotations

from typing import Protocol

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
