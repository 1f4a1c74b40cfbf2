"""Small collections with a structure to be found: each label has words of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.preprocessing import normalize


def sparse_rows(rows: int, columns: int, each: int, rng: np.random.Generator) -> sp.csr_matrix:
    """Unit rows of `each` random positive entries, float32 CSR."""
    ids = np.stack([np.sort(rng.choice(columns, each, replace=False)) for _ in range(rows)])
    values = rng.uniform(0.2, 1.0, ids.shape)
    matrix = sp.csr_matrix((values.ravel(), ids.ravel(), np.arange(0, rows * each + 1, each)), shape=(rows, columns))
    return normalize(matrix).astype(np.float32)


def unit_rows(rows: int, dim: int, seed: int) -> npt.NDArray[np.float32]:
    """Random unit vectors, float32 (rows, dim)."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def labels(rows: int, columns: int, counts: npt.NDArray[np.int64], rng: np.random.Generator) -> sp.csr_matrix:
    """Y with `counts` int64 (rows,) random labels a row, float32 CSR of ones."""
    ids = [np.sort(rng.choice(columns, n, replace=False)) for n in counts]
    offsets = np.append(0, np.cumsum(counts))
    ones = np.ones(offsets[-1], np.float32)
    return sp.csr_matrix((ones, np.concatenate([*ids, np.zeros(0, int)]).astype(np.int32), offsets), (rows, columns))


def collection(
    documents: int, num_labels: int, seed: int, *, words: int = 4, noise: int = 20
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """X and Y of documents with one to three labels, which hold most words of their labels and some noise."""
    rng = np.random.default_rng(seed)
    Y = labels(documents, num_labels, rng.integers(1, 4, documents), rng)
    X = np.zeros((documents, num_labels * words + noise), np.float32)
    own = np.repeat(Y.toarray(), words, axis=1)
    X[:, : own.shape[1]] = own * rng.uniform(0.5, 1.0, own.shape) * (rng.random(own.shape) < 0.8)
    X[np.arange(documents)[:, None], own.shape[1] + rng.integers(0, noise, (documents, 3))] = 0.4
    return normalize(sp.csr_matrix(X)).astype(np.float32), Y


def write_rows(path: Path, X: sp.csr_matrix, Y: sp.csr_matrix) -> None:
    """Write one file of the bag-of-words layout."""
    lines = [f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}"]
    for x, y in zip(X, Y, strict=True):
        features = " ".join(f"{f}:{v:.6f}" for f, v in zip(x.indices, x.data, strict=True))
        lines.append(f"{','.join(map(str, y.indices))} {features}")
    path.write_text("\n".join(lines) + "\n")
