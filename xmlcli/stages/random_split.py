"""Draw documents that are set aside: for validation, and for test where a table has no test file."""

from __future__ import annotations

import numpy as np

from xmlcli.arrays import Bools, Longs


def draw_documents(eligible: Bools, size: int, generator: np.random.Generator, groups: Longs | None = None) -> Longs:
    """Draw up to `size` documents at random, whole groups where documents have groups.

    The draw does not look at labels. A label that only drawn documents carry is unknown to what is trained without
    them, as some labels of tomorrow's documents will be.

    Args:
        eligible: bool (N,), the documents that may be drawn.
        size: documents wanted. A group that would exceed it is left out.
        generator: decides the order in which documents, or groups, are considered.
        groups: int64 (N,), the number of each document's group, or None.

    Returns:
        int64 (at most size,), ascending.
    """
    rows = np.flatnonzero(eligible)
    if groups is None:
        return np.sort(generator.permutation(rows)[:size])
    names, sizes = np.unique(groups[rows], return_counts=True)
    chosen, left = np.zeros(len(names), np.bool_), size
    for group in generator.permutation(len(names)).tolist():
        if sizes[group] <= left:
            chosen[group] = True
            left -= int(sizes[group])
    return rows[chosen[np.searchsorted(names, groups[rows])]]
