"""Adam (Kingma and Ba 2015) on some rows of a table, in one pass and in place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmlcli.arrays import Floats, Longs
from xmlcli.kernels.compiled import fast_dividing_kernel


class AdamStep(NamedTuple):
    """The numbers of one step, all float32.

    Attributes:
        rate: the learning rate, with the corrections of both moments.
        beta1, beta2: how much of the moments remains.
        eps: added to the root of the second moment.
    """

    rate: np.float32
    beta1: np.float32
    beta2: np.float32
    eps: np.float32


@fast_dividing_kernel
def move_rows(table: Floats, first: Floats | None, second: Floats, rows: Longs, grad: Floats, step: AdamStep) -> None:
    """Move the rows of a table (R, D) against their gradient (U, D); without `first` there is no momentum.

    first, second: the moments (R, D). Slices, and a division that raises nothing: with either missing the compiler does
    not vectorise.
    """
    rate, beta1, beta2, eps = step
    rest1, rest2 = np.float32(1) - beta1, np.float32(1) - beta2
    for i in range(len(rows)):
        w, v, g = table[rows[i]], second[rows[i]], grad[i]
        if first is None:
            for d in range(len(w)):
                v[d] = beta2 * v[d] + rest2 * g[d] * g[d]
                w[d] -= rate * g[d] / (np.sqrt(v[d]) + eps)
        else:
            m = first[rows[i]]
            for d in range(len(w)):
                m[d] = beta1 * m[d] + rest1 * g[d]
                v[d] = beta2 * v[d] + rest2 * g[d] * g[d]
                w[d] -= rate * m[d] / (np.sqrt(v[d]) + eps)
