"""How many of the true labels shortlists hold."""

from __future__ import annotations

import scipy.sparse as sp

from xmlcli.arrays import Ints
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.metrics import hit_matrix

_BLOCK = 65_536  # documents, whose hits are a number for each place of a shortlist


def recall(indices: Ints, Y: sp.csr_matrix, ranks: Ranks = ALONE) -> float:
    """Return the share of all pairs of document and true label in Y (N, L) that shortlists int32 (N, k) hold.

    Of several ranks each gives its documents.
    """
    blocks = (slice(at, at + _BLOCK) for at in range(0, Y.shape[0], _BLOCK))
    return recall_of_hits(sum(count_hits(indices[rows], Y[rows]) for rows in blocks), Y, ranks)


def recall_of_hits(hits: float, Y: sp.csr_matrix, ranks: Ranks = ALONE) -> float:
    """Return the recall of shortlists that hold so many pairs of this rank's documents."""
    return float(ranks.sum_over_ranks(hits) / max(ranks.sum_over_ranks(Y.nnz), 1))


def count_hits(indices: Ints, Y: sp.csr_matrix) -> float:
    """Return how many pairs of document and true label in Y (N, L) the shortlists int32 (N, k) hold."""
    return float(hit_matrix(indices, Y).sum())
