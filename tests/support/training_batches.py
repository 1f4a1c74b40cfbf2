"""Batches of documents with shortlists, ways to train on them, and by loops the cells that count then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from support.fake_stages import make_config
from support.planted_data import labels

from xmlcli.config.sections import ClfConfig

BATCH = replace(
    make_config().clf, epochs=2, min_documents=0, max_epochs=20, batch_size=32, min_batches=1, optimiser="adam",
    learning_rate=0.1, token_rate_documents=None, schedule="linear", negatives="batch",
    hard_negatives=3, random_negatives=0, max_positives=None,
)  # fmt: skip
DOCUMENT = replace(BATCH, optimiser="adam", schedule="halving", negatives="document", hard_negatives=0)
AUTHORS = replace(DOCUMENT, max_positives=20)


def shortlists(N: int, L: int, k: int, seed: int) -> npt.NDArray[np.int32]:
    """Random shortlists, every third one cut short by padding."""
    found = np.argsort(np.random.default_rng(seed).random((N, L)), axis=1)[:, :k].astype(np.int32)
    found[::3, k // 2 :] = L
    return found


def batch(seed: int, *, B: int = 12, L: int = 15, most: int = 5) -> tuple[sp.csr_matrix, npt.NDArray[np.int32]]:
    """Y (B, L) whose last two labels have no document, and shortlists that name them all the same."""
    rng = np.random.default_rng(seed)
    Y = labels(B, L - 2, rng.integers(1, most, B), rng)
    Y = sp.csr_matrix((Y.data, Y.indices, Y.indptr), shape=(B, L))
    return Y, shortlists(B, L, 7, seed)


def cells(Y: sp.csr_matrix, shortlist: npt.NDArray[np.int32], config: ClfConfig) -> npt.NDArray[np.bool_]:
    """Which documents and labels count in the loss, bool (B, L), by loops; all positives are kept."""
    B, L = Y.shape
    truth = Y.toarray() > 0
    counts = np.zeros((B, L), bool)
    for i in range(B):
        if config.negatives == "document":
            own = np.flatnonzero(truth[i]).tolist()
            others = [j for j in shortlist[i] if j < L and j not in own]
            counts[i, own + others[: max(len(shortlist[i]) - len(own), 0)]] = True
        else:
            counts[:, [j for j in shortlist[i, : config.hard_negatives] if j < L]] = True
            counts[:, truth[i]] = True
    if config.negatives == "batch":
        counts[:, L - 2 :] = False
    return counts
