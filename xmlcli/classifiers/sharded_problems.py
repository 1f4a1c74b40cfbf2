"""The linear one-vs-rest part over several ranks: each rank gets the documents of the problems of its labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Ints
from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.one_vs_rest import label_problems
from xmlcli.distributed.ranks import Ranks
from xmlcli.kernels.descent import LabelProblems

_BLOCK = 1 << 16  # documents of each rank in one exchange


def own_problems(data: TrainingData, X: sp.csr_matrix) -> LabelProblems:
    """Return the problems of the labels that this rank owns, their documents numbered as the rows of X.

    X: float32 CSR (N, F), with one rank `data.X`, otherwise all documents. The ranks that own them send here which of
    them carry this rank's labels, or have them on their shortlists.
    """
    ranks, num_labels = data.ranks, data.Y.shape[1]
    if ranks.size == 1:
        assert X is data.X, "with one rank documents without labels are in no problem"
        return label_problems(data.Y, data.shortlist)
    positives, shortlisted = [], []
    for block in ranks.blocks(len(data.rows), _BLOCK):
        rows, Y, shortlist = data.rows[block], data.Y[block], data.shortlist[block]
        positives.append(_to_owners(np.repeat(rows, np.diff(Y.indptr)), Y.indices, num_labels, ranks))
        shortlisted.append(_to_owners(np.repeat(rows, shortlist.shape[1]), shortlist.ravel(), num_labels, ranks))
    share = ranks.share(num_labels)
    shape = (X.shape[0], share.stop - share.start)
    truth, shortlists = (
        _matrix(np.concatenate(pairs, axis=1), share.start, shape) for pairs in (positives, shortlisted)
    )
    return label_problems(truth, shortlists)


def _to_owners(documents: npt.NDArray[np.int64], labels: Ints, num_labels: int, ranks: Ranks) -> npt.NDArray[np.int64]:
    """Send each pair to the rank that owns its label, padding to none; return the pairs sent here, int64 (2, P)."""
    owners = ranks.owners(labels, num_labels)
    order, ends = np.argsort(owners, kind="stable"), np.cumsum(np.bincount(owners, minlength=ranks.size))[: ranks.size]
    tables = (np.split(table[order], ends)[:-1] for table in (documents, labels))
    parts = [list(part) for part in zip(*tables, strict=True)]
    got = ranks.all_to_all(parts)
    return np.stack([np.concatenate([part[i].astype(np.int64) for part in got]) for i in (0, 1)])


def _matrix(pairs: npt.NDArray[np.int64], first: int, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return float32 CSR with a one for each pair of document and label, labels counted from `first`."""
    return sp.csr_matrix((np.ones(pairs.shape[1], np.float32), (pairs[0], pairs[1] - first)), shape=shape)
