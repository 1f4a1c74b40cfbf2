"""Choose validation documents among the training documents."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Longs


def carve_validation(Y: sp.csr_matrix, size: int, seed: int) -> Longs:
    """Choose up to `size` documents at random such that each label keeps at least one of its documents in training.

    A document stays in training if a label would lose its last document. So validation holds no label that occurs
    once, and favours documents of frequent labels. Documents without labels stay too: they could not be judged.

    Args:
        Y: CSR (N, L), stored non-zeros the labels.
        size: documents wanted.
        seed: of the random order in which documents are considered.

    Returns:
        int64 (at most size,), rows of `Y` in ascending order.
    """
    left = np.bincount(Y.indices, minlength=Y.shape[1])
    chosen: list[int] = []
    for row in np.random.default_rng(seed).permutation(Y.shape[0]).tolist():
        if len(chosen) >= size:
            break
        labels = Y.indices[Y.indptr[row] : Y.indptr[row + 1]]
        if len(labels) and left[labels].min() > 1:
            left[labels] -= 1
            chosen.append(row)
    return np.array(sorted(chosen), dtype=np.int64)
