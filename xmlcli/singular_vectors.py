"""Leading right singular vectors of a matrix whose rows lie on several ranks.

One process calls scikit-learn's `randomized_svd` (Halko et al. 2011). Several follow it step by step, from the same
random start, so that the vectors are the same up to the order of sums. Products with the matrix's transpose are summed
over the ranks, (F, k) each; of what has a row for each label a rank holds its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from xmlcli.ranks import Ranks

Floats = npt.NDArray[np.float32]

_MORE = 10  # vectors, which make the ones asked for exact
_ITERATIONS = 2


def right_singular_vectors(own: sp.csr_matrix, rank: int, seed: int, ranks: Ranks) -> Floats:
    """Return float32 (F, rank) of a matrix (L, F), of which each rank gives its rows, float32 CSR."""
    if ranks.size == 1:
        from sklearn.utils.extmath import randomized_svd

        found: Floats = randomized_svd(own, rank, n_iter=_ITERATIONS, random_state=seed)[2].T
        return found
    L, F = int(ranks.total(own.shape[0])), own.shape[1]
    transposed = own.T.tocsr()

    def back(table: Floats) -> Floats:
        """Return the transposed matrix times a table of L rows, float32 (F, k)."""
        return ranks.sum(np.asarray(transposed @ table, np.float32))

    start = np.random.RandomState(seed).normal(size=(min(L, F), rank + _MORE)).astype(np.float32)
    if L < F:
        rows = start[ranks.share(L)]  # (L', k)
        for _ in range(_ITERATIONS):
            rows = own @ back(rows)
        Q, _ = scipy.linalg.qr(back(rows), mode="economic", check_finite=False)  # (F, k)
        projected = own @ Q
        U, _, _ = scipy.linalg.svd(_triangle(projected, ranks).T, full_matrices=False, lapack_driver="gesdd")
        by_label, vectors = projected @ U, Q @ U
    else:
        for _ in range(_ITERATIONS):
            start = back(own @ start)
        rows = _orthonormal(own @ start, ranks)
        U, _, V = scipy.linalg.svd(back(rows).T, full_matrices=False, lapack_driver="gesdd")
        by_label, vectors = rows @ U, V.T
    return np.asarray((vectors * _signs(by_label, ranks))[:, :rank], np.float32)


def _triangle(own: Floats, ranks: Ranks) -> Floats:
    """Return R of the QR decomposition of a tall table, of which each rank gives its rows."""
    (R,) = scipy.linalg.qr(own, mode="r", check_finite=False)
    (R,) = scipy.linalg.qr(ranks.whole(R[: own.shape[1]]), mode="r", check_finite=False)
    return np.asarray(R[: own.shape[1]], np.float32)


def _orthonormal(own: Floats, ranks: Ranks) -> Floats:
    """Return this rank's rows of Q of the QR decomposition of a tall table, of which each rank gives its rows."""
    Q, R = scipy.linalg.qr(own, mode="economic", check_finite=False)
    parts = [part[0] for part in ranks.gather(R)]
    outer, _ = scipy.linalg.qr(np.concatenate(parts), mode="economic", check_finite=False)
    before = sum(len(part) for part in parts[: ranks.rank])
    return np.asarray(Q @ outer[before : before + len(R)], np.float32)


def _signs(by_label: Floats, ranks: Ranks) -> Floats:
    """Return the sign of the largest entry of each column, (k,)."""
    largest = np.take_along_axis(by_label, np.abs(by_label).argmax(axis=0)[None], axis=0)
    of_ranks = ranks.whole(largest)  # (R, k)
    signs: Floats = np.sign(np.take_along_axis(of_ranks, np.abs(of_ranks).argmax(axis=0)[None], axis=0)[0])
    return signs
