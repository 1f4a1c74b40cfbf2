"""The labels a batch of phase 3 is trained on: positives, the heads of the shortlists, and a few random ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.batches import Rows
from xmlcli.config import ClfConfig

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Targets:
    """The labels that a batch is trained on.

    Attributes:
        labels: int64 (U,), sorted.
        rows, columns: int64, where documents and labels belong together, by ascending column.
        mask: bool (B, U), the cells that count, or None where all do.
    """

    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    mask: npt.NDArray[np.bool_] | None

    def of_labels(self, share: slice, num_labels: int) -> Targets:
        """Return the targets of the labels in `share`, counted from its start."""
        if share == slice(0, num_labels):
            return self
        first, last = np.searchsorted(self.labels, (share.start, share.stop))
        there = (self.columns >= first) & (self.columns < last)
        mask = None if self.mask is None else self.mask[:, first:last]
        return Targets(self.labels[first:last] - share.start, self.rows[there], self.columns[there] - first, mask)


def draw_targets(
    Y: Rows, shortlist: Ints, trainable: npt.NDArray[np.int64], config: ClfConfig, rng: np.random.Generator
) -> Targets:
    """Choose the labels of a batch with truth Y (B, L) and shortlists int32 (B, k).

    trainable: int64 (L',), the labels with documents, ascending.
    """
    num_labels = Y.shape[1]
    rows, positives = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr)), Y.indices
    if config.max_positives is not None:
        keep = _at_most(Y, config.max_positives, rng)
        rows, positives = rows[keep], positives[keep]
    if config.negatives == "document":
        shortlist = _own_shortlist(rows, positives, shortlist, num_labels)
    else:
        shortlist = shortlist[:, : config.hard_negatives]
    near = shortlist[shortlist < num_labels]
    drawn = rng.choice(trainable, config.random_negatives) if config.random_negatives else trainable[:0]
    chosen = np.zeros(num_labels, np.bool_)
    for some in (positives, near, drawn):
        chosen[some] = True
    labels = np.flatnonzero(chosen)
    mask = None
    if config.negatives == "document":
        mask = np.zeros((Y.shape[0], len(labels)), bool)
        mask[rows, np.searchsorted(labels, positives)] = True
        there = shortlist < num_labels
        mask[np.nonzero(there)[0], np.searchsorted(labels, shortlist[there])] = True
    else:
        place = np.minimum(np.searchsorted(trainable, labels), len(trainable) - 1)
        labels = labels[trainable[place] == labels]
    columns = np.searchsorted(labels, positives)
    order = np.argsort(columns, kind="stable")
    return Targets(labels, rows[order], columns[order], mask)


def _at_most(Y: Rows, most: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Mark `most` positives of each row of Y, drawn without replacement; bool (nnz,) in CSR order."""
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    order = np.lexsort((rng.random(len(Y.indices)), rows))
    keep = np.zeros(len(Y.indices), bool)
    keep[order] = np.arange(len(Y.indices)) - Y.indptr[rows] < most
    return keep


def _own_shortlist(rows: npt.NDArray[np.int64], positives: Ints, shortlist: Ints, num_labels: int) -> Ints:
    """Return the shortlists with each document's `positives` put first, and cut to the old length."""
    k = shortlist.shape[1]
    own = sp.csr_matrix((np.ones(len(rows), bool), (rows, positives)), shape=(shortlist.shape[0], num_labels + 1))
    is_positive = own[np.repeat(np.arange(len(shortlist)), k), shortlist.ravel()].A1.reshape(shortlist.shape)
    counts = np.diff(own.indptr)[:, None]
    place = np.cumsum(~is_positive, axis=1) - 1 + counts  # the column of each negative
    out = np.full_like(shortlist, num_labels)
    fits = ~is_positive & (place < k)
    out[np.nonzero(fits)[0], place[fits]] = shortlist[fits]
    return out
