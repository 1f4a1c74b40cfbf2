"""Document vectors and the labels that documents carry."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from support.planted_data import labels


def problem(seed: int = 0) -> tuple[torch.Tensor, sp.csr_matrix]:
    """Documents float32 (40, 6), some of them zero, and Y (40, 9): label 8 without documents, label 7 with one."""
    rng = np.random.default_rng(seed)
    Y = labels(40, 7, rng.integers(0, 4, 40), rng)
    single = sp.csr_matrix(([1.0], ([5], [0])), shape=(40, 2), dtype=np.float32)
    documents = torch.from_numpy(rng.standard_normal((40, 6)).astype(np.float32) + 1)
    documents[::9] = 0
    return documents, sp.hstack([Y, single], format="csr", dtype=np.float32)
