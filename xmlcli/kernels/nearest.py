"""The product of a sparse row with the nearest of many others, by an inverted file."""

from __future__ import annotations

import numpy as np

from xmlcli.arrays import Floats, Longs
from xmlcli.kernels.compiled import kernel
from xmlcli.kernels.csr import CsrRows
from xmlcli.kernels.inverted_file import add_postings, heaviest, refresh, restore, touch

_GROUP = 6  # others lie in groups of 2^6


@kernel
def largest_products(
    rows: CsrRows, postings: CsrRows, lengths: Longs, budget: int, first: int, last: int, largest: Floats
) -> None:
    """Write the largest product of each of the rows first, …, last - 1 (n, F) with another row.

    postings: the other rows by column (F, N), their numbers unsigned; lengths: int64 (F,), of the postings, on all
    ranks. A row's most frequent columns are left out once its postings are more than `budget`.
    """
    num_others = postings.shape[1]
    num_groups = ((num_others - 1) >> _GROUP) + 1
    nothing, none_best = np.zeros(num_others, np.float32), np.zeros(num_groups, np.float32)
    total, best, touched = nothing.copy(), none_best.copy(), np.zeros(num_groups, np.bool_)
    for i in range(first, last):
        own = slice(rows.indptr[i], rows.indptr[i + 1])
        columns, weights = heaviest(rows.indices[own], rows.data[own], 0.0)
        touches_all = touch(columns, postings.indptr, postings.indices, num_others, _GROUP, touched)
        add_postings(columns, weights, postings.indptr, postings.indices, postings.data, lengths, budget, total)
        if touches_all:
            largest[i] = total.max()
            total[:] = 0
        else:
            refresh(total, touched, _GROUP, best)
            largest[i] = best.max()
            restore(nothing, none_best, touched, _GROUP, total, best)
