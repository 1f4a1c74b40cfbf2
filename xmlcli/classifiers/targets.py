"""The labels a batch of phase 3 is trained on: positives, the heads of the shortlists, and a few random ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Ints
from xmlcli.config.sections import ClfConfig
from xmlcli.kernels.csr import CsrRows
from xmlcli.kernels.label_union import label_union


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
    Y: CsrRows, shortlist: Ints, trainable: npt.NDArray[np.int64], config: ClfConfig, rng: np.random.Generator
) -> Targets:
    """Choose the labels of a batch with truth Y (B, L) and shortlists int32 (B, k).

    trainable: int64 (L',), the labels with documents, ascending.
    """
    num_labels, offsets, positives = Y.shape[1], Y.indptr, Y.indices
    if config.max_positives is not None:
        offsets, positives = _at_most(Y, config.max_positives, rng)
    drawn = trainable[rng.integers(0, len(trainable), config.random_negatives)]
    if config.negatives == "batch":
        near = np.ascontiguousarray(shortlist[:, : config.hard_negatives])
        labels, rows, columns = label_union(offsets, positives, near, drawn, trainable, num_labels)
        return Targets(labels, rows, columns, None)
    near = _own_shortlist(offsets, positives, shortlist, num_labels)
    labels, rows, columns = label_union(offsets, positives, near, drawn, np.arange(num_labels), num_labels)
    mask = np.zeros((Y.shape[0], len(labels)), bool)
    mask[rows, columns] = True
    there = near < num_labels
    mask[np.nonzero(there)[0], np.searchsorted(labels, near[there])] = True
    return Targets(labels, rows, columns, mask)


def _at_most(Y: CsrRows, most: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return offsets and labels of `most` positives of each row of Y, drawn without replacement."""
    counts = np.diff(Y.indptr)
    rows = np.repeat(np.arange(Y.shape[0]), counts)
    order = np.lexsort((rng.random(len(Y.indices)), rows))
    keep = np.zeros(len(Y.indices), bool)
    keep[order] = np.arange(len(Y.indices)) - Y.indptr[rows] < most
    return np.append(0, np.cumsum(np.minimum(counts, most))).astype(np.int32), Y.indices[keep]


def _own_shortlist(offsets: Ints, positives: Ints, shortlist: Ints, num_labels: int) -> Ints:
    """Return the shortlists with each document's `positives` put first, and cut to the old length."""
    k = shortlist.shape[1]
    own = sp.csr_matrix((np.ones(len(positives), bool), positives, offsets), shape=(len(shortlist), num_labels + 1))
    is_positive = own[np.repeat(np.arange(len(shortlist)), k), shortlist.ravel()].A1.reshape(shortlist.shape)
    counts = np.diff(own.indptr)[:, None]
    place = np.cumsum(~is_positive, axis=1) - 1 + counts  # the column of each negative
    out = np.full_like(shortlist, num_labels)
    fits = ~is_positive & (place < k)
    out[np.nonzero(fits)[0], place[fits]] = shortlist[fits]
    return out
