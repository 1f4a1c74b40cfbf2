"""Phase 2 by dense label embeddings: an exact search of blocked products, and an HNSW graph.

Both find the `k` labels with the largest `cos(f(x), z_l) + bonus_l`. In the graph the bonus becomes part of the cosine by
two more coordinates (Bachrach et al. 2014, section 3): a label is `[z_l, bonus_l, rest_l]`, with `rest_l` making all
labels equally long, and a document is `[f(x), 1, 0]`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from numba import njit

from xmlcli.progress import Progress, silent
from xmlcli.runtime import matrix_dtype
from xmlcli.threads import over_rows

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_BLOCK = 1024
_ERROR = 2.0**-6  # bound on the error of a bfloat16 product of unit vectors: 2^-8 each for input and output, doubled


class ExactIndex:
    """Blocked products of all documents with all labels; on CPUs that have it in bfloat16, made exact in float32.

    A block of bfloat16 scores shows which labels can be among the k best at all: those within the product's error bound
    of the k-th. Only these are scored in float32.
    """

    def __init__(self, Z: Floats, *, bonus: Floats, searchable: npt.NDArray[np.bool_], device: str = "cpu") -> None:
        """Z: float32 (L, D) unit rows; bonus: float32 (L,); searchable: bool (L,)."""
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._num_labels = Z.shape[0]
        self._device = device
        self._Z = torch.from_numpy(np.ascontiguousarray(Z[self._ids])).to(device)
        self._bonus = np.ascontiguousarray(bonus[self._ids], np.float32)

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `neighbours.Index.search`."""
        N = documents.shape[0]
        indices = np.full((N, k), self._num_labels, np.int32)
        scores = np.full((N, k), -np.inf, np.float32)
        found = min(k, len(self._ids))
        if found == 0:
            return indices, scores
        dtype = matrix_dtype(self._device)
        Z = self._Z.to(dtype)
        for start in range(0, N, _BLOCK):
            block = slice(start, min(start + _BLOCK, N))
            F = torch.from_numpy(documents[block]).to(self._device)
            approximate = (F.to(dtype) @ Z.T).float()  # (B, L')
            if self._device == "cpu":
                margin = np.float32(_ERROR if dtype == torch.bfloat16 else 0.0)
                local, best = self._top_k(approximate.numpy(), documents[block], found, margin)
            else:
                bonus = torch.from_numpy(self._bonus).to(self._device)
                local, best = _top_k_on_card(approximate, F, self._Z, bonus, found)
            indices[block, :found] = self._ids[local]
            scores[block, :found] = best
            progress("shortlist", block.stop, N)
        return indices, scores

    def _top_k(self, S: Floats, F: Floats, k: int, margin: np.float32) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return the k best columns of each row of S (B, L'), ordered by exact score, then by lower column."""
        indices, scores, Z = np.empty((len(S), k), np.int64), np.empty((len(S), k), np.float32), self._Z.numpy()
        over_rows(len(S), lambda first, last: _top_k(S, F, Z, self._bonus, margin, first, last, indices, scores))
        return indices, scores


def _top_k_on_card(
    approximate: torch.Tensor, F: torch.Tensor, Z: torch.Tensor, bonus: torch.Tensor, k: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Take twice as many labels by the approximate scores, score them in float32, keep the best k."""
    approximate = approximate + bonus  # (B, L')
    candidates = approximate.topk(min(2 * k, approximate.shape[1]), dim=1).indices.sort(dim=1).values  # (B, 2k)
    exact = torch.einsum("bd,bkd->bk", F, Z[candidates]) + bonus[candidates]
    order = exact.argsort(dim=1, descending=True, stable=True)[:, :k]
    return candidates.gather(1, order).cpu().numpy(), exact.gather(1, order).cpu().numpy()


@njit(fastmath=True, cache=True, nogil=True)
def _dot(a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    total = np.float32(0)
    for d in range(a.shape[0]):
        total += a[d] * b[d]
    return total


@njit(cache=True, nogil=True)
def _top_k(S, F, Z, bonus, margin, first, last, indices, scores):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the k best columns of rows first, …, last - 1 of S (B, L') by S + bonus, ordered, ties by lower column.

    S may be wrong by `margin / 2`, then the columns that can be among the best are scored anew as F Z'; with a margin of
    0 it is taken as it is.
    """
    num_columns, k = S.shape[1], indices.shape[1]
    kept = np.empty(num_columns, np.int64)
    values = np.empty(num_columns, np.float32)
    for row in range(first, last):
        # a first pass over S with a rising threshold leaves few columns for the selection
        count, threshold, limit = 0, np.float32(-np.inf), 4 * k + 64
        for column in range(num_columns):
            value = S[row, column] + bonus[column]
            if value >= threshold:
                kept[count], values[count] = column, value
                count += 1
                if count >= limit:
                    threshold = np.partition(values[:count], count - k)[count - k] - margin
                    count = _keep(kept, values, count, threshold)
                    limit = min(num_columns + 1, max(limit, 2 * count))
        threshold = np.partition(values[:count], count - k)[count - k] - margin
        count = _keep(kept, values, count, threshold)
        if margin > 0:
            for i in range(count):
                values[i] = bonus[kept[i]] + _dot(F[row], Z[kept[i]])
        order = np.argsort(-values[:count], kind="mergesort")
        for i in range(k):
            indices[row, i] = kept[order[i]]
            scores[row, i] = values[order[i]]


@njit(cache=True, nogil=True)
def _keep(kept, values, count, threshold):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Move the columns of values from `threshold` on to the front; return how many they are."""
    new = 0
    for i in range(count):
        if values[i] >= threshold:
            kept[new], values[new] = kept[i], values[i]
            new += 1
    return new


class HnswIndex:
    """An HNSW graph of nmslib over the lengthened vectors; approximate, and different at every build.

    One thread builds it: with more the graph depends on their timing.
    """

    def __init__(
        self, Z: Floats, *, bonus: Floats, searchable: npt.NDArray[np.bool_], M: int, ef_construction: int,
        ef_search: int,
    ) -> None:  # fmt: skip
        """Z, bonus, searchable as for ExactIndex; M, ef_construction, ef_search as HNSW calls them."""
        import nmslib

        self._num_labels = Z.shape[0]
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._longest = float(1 + (bonus**2).max(initial=0.0)) ** 0.5
        rest = np.sqrt(np.maximum(self._longest**2 - (Z**2).sum(axis=1) - bonus**2, 0))
        vectors = np.column_stack([Z, bonus, rest]).astype(np.float32)[self._ids]
        self._index = nmslib.init(method="hnsw", space="cosinesimil")
        if len(self._ids):
            self._index.addDataPointBatch(vectors)
            self._index.createIndex(
                {"M": M, "efConstruction": ef_construction, "post": 0, "indexThreadQty": 1}, print_progress=False
            )
            self._index.setQueryTimeParams({"efSearch": ef_search})

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `neighbours.Index.search`; where the graph finds fewer than k labels the rest is padding."""
        N = documents.shape[0]
        indices = np.full((N, k), self._num_labels, np.int32)
        scores = np.full((N, k), -np.inf, np.float32)
        if not len(self._ids):
            return indices, scores
        queries = np.column_stack([documents, np.ones(N), np.zeros(N)]).astype(np.float32)
        lengths = np.linalg.norm(queries, axis=1) * self._longest
        for start in range(0, N, _BLOCK):
            block = range(start, min(start + _BLOCK, N))
            found = self._index.knnQueryBatch(queries[start : block.stop], k=min(k, len(self._ids)), num_threads=1)
            for row, (near, distance) in zip(block, found, strict=True):
                score = ((1 - distance) * lengths[row]).astype(np.float32)
                order = np.lexsort((near, -score))
                indices[row, : len(near)] = self._ids[near[order]]
                scores[row, : len(near)] = score[order]
            progress("shortlist", block.stop, N)
        return indices, scores
