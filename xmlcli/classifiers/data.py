"""The documents that phase 3 trains on, whoever owns them, and a batch of them for each step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Ints
from xmlcli.config.sections import ClfConfig
from xmlcli.distributed.ranks import ALONE, Ranks, stack_csr
from xmlcli.kernels.csr import CsrRows, take_rows


@dataclass(frozen=True)
class TrainingData:
    """Documents with at least one feature and one label; of several ranks each holds those it owns.

    Attributes:
        X: float32 CSR (N, F).
        Y: float32 CSR (N, L).
        shortlist: int32 (N, k), nearest label first, padded with L.
        trainable: int64 (L',), labels with documents; others are no negatives.
        rows: int64 (N,), which documents of the collection these are.
        num_documents: those of all ranks.
        ranks: who owns what.
    """

    X: sp.csr_matrix
    Y: sp.csr_matrix
    shortlist: Ints
    trainable: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    num_documents: int
    ranks: Ranks = ALONE

    @staticmethod
    def of(X: sp.csr_matrix, Y: sp.csr_matrix, shortlist: Ints, ranks: Ranks = ALONE) -> TrainingData:
        """Drop the documents without features or without labels; of the others take those that this rank owns.

        The arguments have the rows of all ranks; where there are several, they are read from the disk as needed.
        """
        rows = np.flatnonzero((X.getnnz(axis=1) > 0) & (Y.getnnz(axis=1) > 0))
        own = rows[ranks.share(len(rows))]
        trainable = np.flatnonzero(Y.getnnz(axis=0))
        return TrainingData(X[own], Y[own], np.asarray(shortlist[own]), trainable, own, len(rows), ranks)

    def for_steps(self, config: ClfConfig) -> TrainingData:
        """Return the same without what steps leave out of the shortlists."""
        width = self.shortlist.shape[1] if config.negatives == "document" else config.hard_negatives
        return replace(self, shortlist=np.ascontiguousarray(self.shortlist[:, :width]))

    def batch(self, rows: npt.NDArray[np.int64]) -> tuple[CsrRows, CsrRows, Ints]:
        """Return X, Y and shortlists of documents, counted over all ranks, in that order.

        Every rank gets the whole batch: its sparse rows are smaller than any vectors made of them.
        """
        ranks = self.ranks
        if ranks.size == 1:
            return take_rows(self.X, rows), take_rows(self.Y, rows), self.shortlist[rows]
        share = ranks.share(self.num_documents)
        mine = rows[(rows >= share.start) & (rows < share.stop)] - share.start
        X, Y, shortlist = take_rows(self.X, mine), take_rows(self.Y, mine), self.shortlist[mine]
        parts = ranks.all_gather(np.diff(X.indptr), X.indices, X.data, np.diff(Y.indptr), Y.indices, Y.data, shortlist)
        place = np.argsort(np.argsort(ranks.owners(rows, self.num_documents), kind="stable"))
        X, Y = (stack_csr([part[at : at + 3] for part in parts], table.shape[1]) for at, table in ((0, X), (3, Y)))
        return take_rows(X, place), take_rows(Y, place), np.concatenate([part[6] for part in parts])[place]
