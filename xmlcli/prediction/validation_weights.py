"""How new a validation document is beside the training documents."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numba import njit

from xmlcli.arrays import Floats
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.csr import unsigned
from xmlcli.kernels.inverted_file import add_postings, heaviest, refresh, restore, touch
from xmlcli.machine.threads import over_rows
from xmlcli.shortlists.word_index import POSTINGS

_ENOUGH = 200.0  # documents, or as many parts of documents
_GROUP = 6


def novelty_weights(X: sp.csr_matrix, X_train: sp.csr_matrix, ranks: Ranks = ALONE) -> Floats:
    """Return what each document counts, float32 (N,): 1 less its largest cosine with a training document.

    A random validation split leaves copies of training documents in it (other volumes, other editions): a combination
    fitted on those trusts neighbours more than it should with documents that are new. Where less than 200 would be
    left, all documents count 1. X, X_train: float32 CSR with unit rows. Of several ranks each gives its training
    documents.
    """
    columns, nearest = X_train.tocsc(), np.zeros(X.shape[0], np.float32)
    lengths = ranks.all_reduce_sum(np.diff(columns.indptr).astype(np.int64))

    def kernel(first: int, last: int) -> None:
        _nearest(
            X.indptr, X.indices, X.data, columns.indptr, unsigned(columns.indices), columns.data, lengths,
            X_train.shape[0], first, last, nearest,
        )  # fmt: skip

    over_rows(X.shape[0], kernel)
    new = np.maximum(1 - ranks.all_reduce_max(nearest), 0).astype(np.float32)
    return new if new.sum() >= _ENOUGH else np.ones_like(new)


@njit(cache=True, nogil=True)
def _nearest(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_offsets, x_columns, x_values, offsets, rows, values, lengths, num_rows, first, last, found
):
    """Write the largest product of CSR rows first, …, last - 1 with a row of the CSC matrix (num_rows, F).

    A row's most frequent words are left out as in a search by words.
    """
    num_groups = ((num_rows - 1) >> _GROUP) + 1
    nothing, none_best = np.zeros(num_rows, np.float32), np.zeros(num_groups, np.float32)
    total, best, touched = nothing.copy(), none_best.copy(), np.zeros(num_groups, np.bool_)
    for i in range(first, last):
        own = slice(x_offsets[i], x_offsets[i + 1])
        words, weights = heaviest(x_columns[own], x_values[own], 0.0)
        touches_all = touch(words, offsets, rows, num_rows, _GROUP, touched)
        add_postings(words, weights, offsets, rows, values, lengths, POSTINGS, total)
        if touches_all:
            found[i] = total.max()
            total[:] = 0
        else:
            refresh(total, touched, _GROUP, best)
            found[i] = best.max()
            restore(nothing, none_best, touched, _GROUP, total, best)
