"""Which ranked labels are true."""

from __future__ import annotations

import numpy as np

from xmlcli.arrays import Array, Bools
from xmlcli.kernels.compiled import kernel


@kernel
def mark_hits(
    top: Array, y_indptr: Array, y_labels: Array, num_labels: int, first: int, last: int, hits: Bools
) -> None:
    """Write whether each label of rows first, …, last - 1 of `top`, int (n, k), is a true one of its row.

    y_indptr, y_labels: the true labels, as CSR (n, L); hits: bool (n, k).
    """
    is_true = np.zeros(num_labels + 1, np.bool_)
    for i in range(first, last):
        own = y_labels[y_indptr[i] : y_indptr[i + 1]]
        for label in own:
            is_true[label] = True
        for j in range(top.shape[1]):
            hits[i, j] = is_true[top[i, j]]
        for label in own:
            is_true[label] = False
