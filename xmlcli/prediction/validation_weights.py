"""How new a validation document is beside the training documents."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.csr import CsrRows
from xmlcli.kernels.nearest import largest_products
from xmlcli.machine.threads import over_rows
from xmlcli.shortlists.word_index import POSTINGS

_ENOUGH = 200.0  # documents, or as many parts of documents


def novelty_weights(X: sp.csr_matrix, X_train: sp.csr_matrix, ranks: Ranks = ALONE) -> Floats:
    """Return what each document counts, float32 (N,): 1 less its largest cosine with a training document.

    A random validation split leaves copies of training documents in it (other volumes, other editions): a combination
    fitted on those trusts neighbours more than it should with documents that are new. Where less than 200 would be
    left, all documents count 1. X, X_train: float32 CSR with unit rows. Of several ranks each gives its training
    documents.
    """
    rows, postings, nearest = CsrRows.of(X), CsrRows.of(X_train.tocsc()).unsigned(), np.zeros(X.shape[0], np.float32)
    lengths = ranks.all_reduce_sum(np.diff(postings.indptr).astype(np.int64))

    def kernel(first: int, last: int) -> None:
        largest_products(rows, postings, lengths, POSTINGS, first, last, nearest)

    over_rows(X.shape[0], kernel)
    new = np.maximum(1 - ranks.all_reduce_max(nearest), 0).astype(np.float32)
    return new if new.sum() >= _ENOUGH else np.ones_like(new)
