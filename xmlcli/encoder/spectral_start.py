"""The spectral start: leading right singular vectors of a large sparse matrix, by subspace iteration.

As Halko et al. 2011, algorithm 4.4, but with orthonormal bases by the eigenvectors of Gram matrices in double precision
instead of QR, and of the short side alone: only the right vectors are wanted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from xmlcli.arrays import Floats
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.products import sparse_product

_MORE = 10  # vectors, which make the ones asked for exact
_ITERATIONS = 3
_BLOCK = 4096  # rows whose products are added up in single precision
_SMALLEST = 1e-12  # of the largest eigenvalue: a direction that holds less is noise


def spectral_tokens(words: sp.csr_matrix, dim: int, seed: int, ranks: Ranks = ALONE) -> Floats:
    """Return a vector for each word, float32 (F, dim): the right singular vectors of the labels' word centroids.

    Words of the same labels get vectors alike: what a document's exact words do not say, their neighbours may. A small
    collection has fewer singular vectors than `dim`; the other columns are zero. Of several ranks each gives its
    labels.
    """
    vectors = np.zeros((words.shape[1], dim), np.float32)
    V = right_singular_vectors(words, dim, seed, ranks)
    vectors[:, : V.shape[1]] = V
    return vectors


def right_singular_vectors(A: sp.csr_matrix, rank: int, seed: int, ranks: Ranks = ALONE) -> Floats:
    """Return the leading right singular vectors of A float32 CSR (L, F) in falling order, float32 (F, at most `rank`).

    Each has its largest entry positive. There are fewer where A has fewer singular values that are not zero. Of several
    ranks each gives its rows of A, and gets the vectors.
    """
    transposed, width = A.T.tocsr(), min(rank + _MORE, int(ranks.sum_over_ranks(A.shape[0])), A.shape[1])
    V = np.random.default_rng(seed).normal(size=(A.shape[1], width)).astype(np.float32)
    for _ in range(_ITERATIONS):
        V = _orthonormal(ranks.all_reduce_sum(sparse_product(transposed, sparse_product(A, V))))
    values, U = scipy.linalg.eigh(ranks.all_reduce_sum(_gram(sparse_product(A, V))))
    falling = np.flatnonzero(values > _SMALLEST * values.max(initial=0))[::-1][:rank]
    V = V @ U[:, falling].astype(np.float32)
    signs = np.sign(np.take_along_axis(V, np.abs(V).argmax(axis=0)[None], axis=0))
    return np.asarray(V * signs)


def _gram(table: Floats) -> npt.NDArray[np.float64]:
    """Return the products of the columns with each other, (k, k)."""
    total = np.zeros((table.shape[1], table.shape[1]))
    for at in range(0, len(table), _BLOCK):
        rows = table[at : at + _BLOCK]
        total += rows.T @ rows
    return total


def _orthonormal(table: Floats) -> Floats:
    """Return an orthonormal basis of the columns, without directions that are as good as zero."""
    values, U = scipy.linalg.eigh(_gram(table))
    kept = values > _SMALLEST * values.max(initial=0)
    basis: Floats = table @ (U[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    return basis
