"""The sparse part of phase 3: for each label a linear classifier on the words themselves, on the same shortlists.

Dense vectors generalise, exact words decide; the two together beat either. Label l gets the minimiser of

    |w - w0_l|^2 / 2 + C sum_i max(0, 1 - y_il (w·x_i + b))^2

over its documents (y = 1) and the documents that have it on their shortlist (y = -1), where w0_l is `start` times the
unit centroid of its documents, and -1 for the bias: a label of few documents stays near its centroid, and is absent
where the words say nothing. Solved by dual coordinate descent (Hsieh et al. 2008), label by label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.config.sections import LinearConfig
from xmlcli.kernels.csr import packed, unsigned
from xmlcli.kernels.descent import count_entries, count_pairs, group_pairs, solve
from xmlcli.machine.threads import WorkQueue, row_pool
from xmlcli.progress import Progress, silent

Block = tuple[npt.NDArray[np.int64], Ints, Floats]
"""Classifiers of consecutive labels: entries a label, and their columns and values one after the other."""

_ROWS = 65_536
_BLOCK_ENTRIES = 1_000_000  # of which a thread takes a hundredth of a second, or two
_ABSENT = -1.0  # where the bias starts and is drawn to


@dataclass(frozen=True)
class LabelProblems:
    """The documents of each label's problem, grouped by label.

    Attributes:
        offsets: int64 (L + 1,); documents: int32, ascending for each label; signs: int8, 1 or -1.
    """

    offsets: npt.NDArray[np.int64]
    documents: Ints
    signs: npt.NDArray[np.int8]


def label_problems(Y: sp.csr_matrix, shortlist: Ints | sp.csr_matrix) -> LabelProblems:
    """Collect for each label its documents and those that shortlist it; labels without documents get none.

    Y: CSR (N, L); shortlist: int32 (N, k), padded with L, or CSR (N, L) with an entry for each label that is listed.
    """
    wanted = Y.getnnz(axis=0) > 0
    if isinstance(shortlist, np.ndarray):
        labels, ends = shortlist.ravel(), np.arange(0, shortlist.size + 1, max(shortlist.shape[1], 1))
    else:
        labels, ends = shortlist.indices, shortlist.indptr
    pairs = (Y.indptr, Y.indices, ends, labels, wanted)
    offsets = np.append(0, np.cumsum(count_pairs(*pairs)))
    return LabelProblems(offsets, *group_pairs(*pairs, offsets))


class LinearTraining:
    """The training of the labels' classifiers, block by block of labels, by whatever threads take turns.

    The smallest weights of a label are dropped, those that together hold `prune` of its squared length, and those
    beyond `max_weights`.

    Attributes:
        turns: its blocks.
    """

    def __init__(
        self, X: sp.csr_matrix, problems: LabelProblems, words: sp.csr_matrix, config: LinearConfig, *,
        first_label: int = 0,
    ) -> None:  # fmt: skip
        """X: float32 CSR (N, F) with unit rows; words: float32 CSR (L, F), the labels' unit centroids. Where the labels
        are some of all, `first_label` is the first one's number, from which its random order follows.
        """
        start = (words * np.float32(config.start)).tocsr()
        room = _room(X, problems, start)
        solve_block = partial(_solve, X, _squares(X) + 1, start, problems, room, config, first_label)
        self.turns = WorkQueue(solve_block, _blocks(room))

    def finish(self, progress: Progress = silent) -> list[Block]:
        """Train what is left and return the classifiers of all blocks, for `stack`."""
        blocks = self.turns.items

        def of_labels(done: int) -> None:
            progress("linear", blocks[done - 1].stop, blocks[-1].stop)

        return self.turns.finish(row_pool(), progress=of_labels)


def stack(blocks: Sequence[Block], num_features: int) -> sp.csr_matrix:
    """Return the classifiers of consecutive blocks of labels, float32 CSR (L, F + 1); the last column is the bias."""
    nothing: Block = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    counts, columns, values = (np.concatenate(part) for part in zip(nothing, *blocks, strict=True))
    matrix = sp.csr_matrix((values, columns, np.append(0, np.cumsum(counts))), shape=(len(counts), num_features + 1))
    matrix.has_canonical_format = True
    return matrix


def _solve(
    X: sp.csr_matrix, squares: Floats, start: sp.csr_matrix, problems: LabelProblems, room: npt.NDArray[np.int64],
    config: LinearConfig, first_label: int, block: range,
) -> Block:  # fmt: skip
    """Solve the labels of a block."""
    begin = room[block.start : block.stop + 1] - room[block.start]
    counts = np.zeros(len(block), np.int64)
    columns, values = np.empty(begin[-1], np.int32), np.empty(begin[-1], np.float32)
    solve(
        X.indptr, unsigned(X.indices), X.data, squares, start.indptr, start.indices, start.data,
        problems.offsets, problems.documents, problems.signs, begin, block.start, block.stop, first_label,
        X.shape[1], np.float32(config.C), np.float32(_ABSENT), config.max_passes, np.float32(config.tolerance),
        np.float32(config.prune), config.max_weights, counts, columns, values,
    )  # fmt: skip
    return counts, *packed(begin, counts, columns, values)


def _squares(X: sp.csr_matrix) -> Floats:
    """Return the squared lengths of rows, float32 (N,), block by block: the matrix of squares is as large as X."""
    found = np.empty(X.shape[0], np.float32)
    for at in range(0, len(found), _ROWS):
        rows = X[at : at + _ROWS]
        squares = sp.csr_matrix((rows.data * rows.data, rows.indices, rows.indptr), shape=rows.shape)
        found[at : at + _ROWS] = squares.sum(axis=1).A1
    return found


def _room(X: sp.csr_matrix, problems: LabelProblems, start: sp.csr_matrix) -> npt.NDArray[np.int64]:
    """Return where each label's entries begin in a buffer surely long enough, int64 (L + 1,)."""
    most = count_entries(X.indptr, problems.offsets, problems.documents) + np.diff(start.indptr)
    return np.append(0, np.cumsum(np.minimum(most, X.shape[1]) + 1))


def _blocks(room: npt.NDArray[np.int64]) -> list[range]:
    """Share the labels out to blocks, each of as much room as `_BLOCK_ENTRIES` or of one label."""
    blocks, first = [], 0
    while first < len(room) - 1:
        last = max(first + 1, int(np.searchsorted(room, room[first] + _BLOCK_ENTRIES, side="right")) - 1)
        blocks.append(range(first, last))
        first = last
    return blocks
