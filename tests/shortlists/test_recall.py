"""Recall of shortlists on a worked example."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.shortlists.recall import recall


def test_recall_counts_pairs_and_not_padding() -> None:
    Y = sp.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]], np.float32))
    indices = np.array([[1, 2, 0], [0, 1, 2], [0, 1, 4], [4, 4, 4]], np.int32)
    assert recall(indices, Y) == 2 / 4
    assert recall(indices[:3], Y[:3]) == 2 / 3
    assert recall(indices[:1], Y[:1]) == 1
    assert recall(np.full((1, 2), 3, np.int32), sp.csr_matrix((1, 3), dtype=np.float32)) == 0.0
