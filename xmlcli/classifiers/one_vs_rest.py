"""The linear one-vs-rest part of phase 3: for each label a linear classifier on the words, on the same shortlists.

Dense vectors generalise, exact words decide; the two together beat either. Label l gets the minimiser of

    |w - w0_l|^2 / 2 + C sum_i max(0, 1 - y_il (w·x_i + b))^2

over its documents (y = 1) and the documents that have it on their shortlist (y = -1), where w0_l is `start` times the
unit centroid of its documents, and -1 for the bias: a label of few documents stays near its centroid, and is absent
where the words say nothing. Solved by dual coordinate descent (Hsieh et al. 2008), label by label.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints, Longs
from xmlcli.config.sections import LinearConfig
from xmlcli.kernels.csr import CsrRows, RowBuffer, packed
from xmlcli.kernels.descent import (
    DescentOptions,
    Documents,
    LabelPairs,
    LabelProblems,
    count_entries,
    count_pairs,
    group_pairs,
    solve,
)
from xmlcli.machine.threads import WorkQueue, row_pool
from xmlcli.progress import Progress, silent

Block = tuple[Longs, Ints, Floats]
"""Classifiers of consecutive labels: entries a label, and their columns and values one after the other."""

_ROWS = 65_536
_BLOCK_ENTRIES = 1_000_000  # of which a thread takes a hundredth of a second, or two
_ABSENT = -1.0  # where the bias starts and is drawn to


def label_problems(Y: sp.csr_matrix, shortlist: Ints | sp.csr_matrix) -> LabelProblems:
    """Collect for each label its documents and those that shortlist it; labels without documents get none.

    Y: CSR (N, L); shortlist: int32 (N, k), padded with L, or CSR (N, L) with an entry for each label that is listed.
    """
    wanted = Y.getnnz(axis=0) > 0
    if isinstance(shortlist, np.ndarray):
        indptr, labels = np.arange(0, shortlist.size + 1, max(shortlist.shape[1], 1)), shortlist.ravel()
    else:
        indptr, labels = shortlist.indptr, shortlist.indices
    pairs = LabelPairs(Y.indptr, Y.indices, indptr, labels, wanted)
    offsets = np.append(0, np.cumsum(count_pairs(pairs)))
    return LabelProblems(offsets, *group_pairs(pairs, offsets))


class LinearTraining:
    """The training of the labels' classifiers, block by block of labels, by whatever threads take turns.

    The smallest weights of a label are dropped, those that together hold `prune` of its squared length, and those
    beyond `max_weights`.

    Attributes:
        queue: its blocks of labels, for any thread to take.
    """

    def __init__(
        self, X: sp.csr_matrix, problems: LabelProblems, words: sp.csr_matrix, config: LinearConfig, *,
        first_label: int = 0,
    ) -> None:  # fmt: skip
        """X: float32 CSR (N, F) with unit rows; words: float32 CSR (L, F), the labels' unit centroids. Where the labels
        are some of all, `first_label` is the first one's number, from which its random order follows.
        """
        start = (words * np.float32(config.start)).tocsr()
        begin = _room(X, problems, start)
        documents = Documents(CsrRows.of(X).unsigned(), _squares(X) + 1)
        solve_block = partial(_solve, documents, CsrRows.of(start), problems, begin, first_label, _options(config))
        self.queue = WorkQueue(solve_block, _blocks(begin))

    def finish(self, progress: Progress = silent) -> list[Block]:
        """Train what is left and return the classifiers of all blocks, for `stack`."""
        blocks = self.queue.items

        def of_labels(done: int) -> None:
            progress("linear", blocks[done - 1].stop, blocks[-1].stop)

        return self.queue.finish(row_pool(), progress=of_labels)


def stack(blocks: Sequence[Block], num_features: int) -> sp.csr_matrix:
    """Return the classifiers of consecutive blocks of labels, float32 CSR (L, F + 1); the last column is the bias."""
    nothing: Block = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    counts, columns, values = (np.concatenate(part) for part in zip(nothing, *blocks, strict=True))
    matrix = sp.csr_matrix((values, columns, np.append(0, np.cumsum(counts))), shape=(len(counts), num_features + 1))
    matrix.has_canonical_format = True
    return matrix


def _options(config: LinearConfig) -> DescentOptions:
    C, tolerance, prune = (np.float32(number) for number in (config.C, config.tolerance, config.prune))
    return DescentOptions(C, np.float32(_ABSENT), config.max_passes, tolerance, prune, config.max_weights)


def _solve(
    documents: Documents, start: CsrRows, problems: LabelProblems, begin: Longs, first_label: int,
    options: DescentOptions, block: range,
) -> Block:  # fmt: skip
    """Solve the labels of a block; `begin`: where each label's entries begin in a buffer of all."""
    own = slice(block.start, block.stop + 1)
    out = RowBuffer.of(begin[own] - begin[block.start])
    own_start, own_problems = start._replace(indptr=start.indptr[own]), problems._replace(offsets=problems.offsets[own])
    solve(documents, own_start, own_problems, first_label + block.start, options, out)
    return out.counts, *packed(out)


def _squares(X: sp.csr_matrix) -> Floats:
    """Return the squared lengths of rows, float32 (N,), block by block: the matrix of squares is as large as X."""
    lengths = np.empty(X.shape[0], np.float32)
    for at in range(0, len(lengths), _ROWS):
        rows = X[at : at + _ROWS]
        squares = sp.csr_matrix((rows.data * rows.data, rows.indices, rows.indptr), shape=rows.shape)
        lengths[at : at + _ROWS] = squares.sum(axis=1).A1
    return lengths


def _room(X: sp.csr_matrix, problems: LabelProblems, start: sp.csr_matrix) -> Longs:
    """Return where each label's entries begin in a buffer surely long enough, int64 (L + 1,)."""
    most = count_entries(X.indptr, problems) + np.diff(start.indptr)
    return np.append(0, np.cumsum(np.minimum(most, X.shape[1]) + 1))


def _blocks(begin: Longs) -> list[range]:
    """Share the labels out to blocks, each of up to `_BLOCK_ENTRIES` entries or of one label."""
    blocks, first = [], 0
    while first < len(begin) - 1:
        last = max(first + 1, int(np.searchsorted(begin, begin[first] + _BLOCK_ENTRIES, side="right")) - 1)
        blocks.append(range(first, last))
        first = last
    return blocks
