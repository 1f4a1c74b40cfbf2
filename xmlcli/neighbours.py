"""Phase 2: the nearest label embeddings of documents, by exact search or by an HNSW graph.

Both backends answer the same question: the `k` labels with the largest `cos(f(x), z_l) + prior_l`. The prior is a small
bonus for frequent labels (0 turns it off); labels that are not `searchable` (no training document) are never returned.

The bonus becomes part of the cosine by two more coordinates (Bachrach et al. 2014, section 3): a label is
`[z_l, prior_l, rest_l]`, with `rest_l` making all labels equally long, and a document is `[f(x), 1, 0]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from numba import get_num_threads, njit, prange

from xmlcli.config import ShortlistConfig
from xmlcli.metrics import hit_matrix
from xmlcli.progress import Progress, silent
from xmlcli.runtime import matrix_dtype

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_BLOCK = 1024
_HEAVIEST_WORDS = 50  # of a long document; the others are frequent words, which cost most and tell least
_ERROR = 2.0**-6  # bound on the error of a bfloat16 product of unit vectors: 2^-8 each for input and output, doubled


@dataclass(frozen=True)
class LabelVectors:
    """What labels are searched by.

    Attributes:
        Z: label embeddings, float32 (L, D) unit rows.
        known: bool (L,), labels with a document or a text.
        words: unit centroids of the labels' word features, float32 CSR (L, F), or None.
    """

    Z: Floats
    known: npt.NDArray[np.bool_]
    words: sp.csr_matrix | None = None


def shortlist_size(num_documents: int, num_labels: int, config: ShortlistConfig) -> int:
    """Return the length of the shortlists: all labels of a small collection, `size` of a large one."""
    complete = num_documents * num_labels <= config.complete_pairs
    return num_labels if complete else min(config.size, num_labels)


def make_index(labels: LabelVectors, frequencies: Floats, config: ShortlistConfig, *, device: str = "cpu") -> Index:
    """Index label embeddings with the configured backend; frequencies: float32 (L,), documents of each label."""
    prior = (config.prior * np.log1p(frequencies)).astype(np.float32)
    searchable = labels.known if config.mask_unseen else np.ones_like(labels.known)
    Z = labels.Z
    if config.backend == "exact":
        return ExactIndex(Z, prior=prior, searchable=searchable, words=labels.words, device=device)
    graph = {"M": config.M, "ef_construction": config.ef_construction, "ef_search": config.ef_search}
    return HnswIndex(Z, prior=prior, searchable=searchable, **graph)


def recall(indices: Ints, Y: sp.csr_matrix) -> float:
    """Return the share of all pairs of document and true label in Y (N, L) that shortlists int32 (N, k) hold."""
    return float(hit_matrix(indices, Y).sum() / max(Y.nnz, 1))


class Index(Protocol):
    """Finds the nearest labels."""

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """Return `indices` int32 (N, k), best first, padded with L, and `scores` float32 (N, k), padded with -inf.

        `documents` float32 (N, D) have unit or zero length; `X` float32 CSR (N, F) are the same documents' words, used
        by an index that has words. Ties are broken by the lower label id.
        """


class ExactIndex:
    """Blocked products of all documents with all labels; on CPUs that have it in bfloat16, made exact in float32.

    A block of bfloat16 scores shows which labels can be among the k best at all: those within the product's error bound
    of the k-th. Only these are scored in float32.
    """

    def __init__(
        self, Z: Floats, *, prior: Floats, searchable: npt.NDArray[np.bool_], words: sp.csr_matrix | None = None,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        """Z: float32 (L, D) unit rows; prior: float32 (L,); searchable: bool (L,); words: float32 CSR (L, F)."""
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._num_labels = Z.shape[0]
        self._device = device
        self._Z = torch.from_numpy(np.ascontiguousarray(Z[self._ids])).to(device)
        self._prior = np.ascontiguousarray(prior[self._ids])
        self._words = None if words is None else words[self._ids].tocsc()

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `Index.search`."""
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
            bonus = self._bonus(X[block] if X is not None else None, F.shape[0])
            approximate = (F.to(dtype) @ Z.T).float()  # (B, L')
            if self._device == "cpu":
                margin = np.float32(_ERROR if dtype == torch.bfloat16 else 0.0)
                local, best = _top_k(
                    approximate.numpy(), documents[block], self._Z.numpy(), bonus, found, margin, get_num_threads()
                )
            else:
                local, best = _top_k_on_card(approximate, F, self._Z, torch.from_numpy(bonus).to(self._device), found)
            indices[block, :found] = self._ids[local]
            scores[block, :found] = best
            progress("shortlist", block.stop, N)
        return indices, scores

    def _bonus(self, X: sp.csr_matrix | None, num_rows: int) -> Floats:
        """Return what is added to the cosines of a block: the priors and the cosines of the words, (B, L')."""
        bonus = np.empty((num_rows, len(self._ids)), np.float32)
        bonus[:] = self._prior
        if self._words is not None and X is not None:
            W = self._words
            _add_products(X.indptr, X.indices, X.data, W.indptr, W.indices, W.data, _HEAVIEST_WORDS, bonus)
        return bonus


@njit(parallel=True, cache=True, nogil=True)
def _add_products(x_offsets, x_columns, x_values, w_offsets, w_rows, w_values, heaviest, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the product of CSR rows x (B, F) and a CSC matrix w (L', F), transposed, to out (B, L').

    Of each row only the `heaviest` entries count.
    """
    for i in prange(len(x_offsets) - 1):
        own = x_values[x_offsets[i] : x_offsets[i + 1]]
        least = np.float32(0)
        if len(own) > heaviest:
            least = np.partition(own, len(own) - heaviest)[len(own) - heaviest]
        for p in range(x_offsets[i], x_offsets[i + 1]):
            value = x_values[p]
            if value >= least:
                for q in range(w_offsets[x_columns[p]], w_offsets[x_columns[p] + 1]):
                    out[i, w_rows[q]] += value * w_values[q]


def _top_k_on_card(
    approximate: torch.Tensor, F: torch.Tensor, Z: torch.Tensor, bonus: torch.Tensor, k: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Take twice as many labels by the approximate scores, score them in float32, keep the best k."""
    approximate = approximate + bonus
    candidates = approximate.topk(min(2 * k, approximate.shape[1]), dim=1).indices.sort(dim=1).values  # (B, 2k)
    exact = torch.einsum("bd,bkd->bk", F, Z[candidates]) + bonus.gather(1, candidates)
    order = exact.argsort(dim=1, descending=True, stable=True)[:, :k]
    return candidates.gather(1, order).cpu().numpy(), exact.gather(1, order).cpu().numpy()


@njit(fastmath=True, cache=True)
def _dot(a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    total = np.float32(0)
    for d in range(a.shape[0]):
        total += a[d] * b[d]
    return total


@njit(parallel=True, cache=True, nogil=True)
def _top_k(S, F, Z, bonus, k, margin, num_threads):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the k best columns of each row of S (B, L'), ordered by exact score, then by lower column.

    The score is S + bonus, both (B, L'). S may be wrong by `margin / 2`; with a margin of 0 it is taken as it is.
    """
    num_rows, num_columns = S.shape
    indices = np.empty((num_rows, k), np.int64)
    scores = np.empty((num_rows, k), np.float32)
    for thread in prange(num_threads):
        kept = np.empty(num_columns, np.int64)
        values = np.empty(num_columns, np.float32)
        for row in range(thread, num_rows, num_threads):
            # a first pass over S with a rising threshold leaves few columns for the selection
            count, threshold, limit = 0, np.float32(-np.inf), 4 * k + 64
            for column in range(num_columns):
                value = S[row, column] + bonus[row, column]
                if value >= threshold:
                    kept[count], values[count] = column, value
                    count += 1
                    if count >= limit:
                        threshold = np.partition(values[:count], count - k)[count - k] - margin
                        last, count = count, 0
                        for i in range(last):
                            if values[i] >= threshold:
                                kept[count], values[count] = kept[i], values[i]
                                count += 1
                        limit = min(num_columns + 1, max(limit, 2 * count))
            threshold = np.partition(values[:count], count - k)[count - k] - margin
            last, count = count, 0
            for i in range(last):
                if values[i] >= threshold:
                    kept[count] = kept[i]
                    values[count] = values[i]
                    if margin > 0:
                        values[count] = bonus[row, kept[i]] + _dot(F[row], Z[kept[i]])
                    count += 1
            order = np.argsort(-values[:count], kind="mergesort")
            for i in range(k):
                indices[row, i] = kept[order[i]]
                scores[row, i] = values[order[i]]
    return indices, scores


class HnswIndex:
    """An HNSW graph of nmslib over the lengthened vectors; approximate, and different at every build.

    One thread builds it: with more the graph depends on their timing.
    """

    def __init__(
        self, Z: Floats, *, prior: Floats, searchable: npt.NDArray[np.bool_], M: int, ef_construction: int,
        ef_search: int,
    ) -> None:  # fmt: skip
        """Z, prior, searchable as for ExactIndex; M, ef_construction, ef_search as HNSW calls them."""
        import nmslib

        self._num_labels = Z.shape[0]
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._prior = prior
        self._longest = float(1 + (prior**2).max(initial=0.0)) ** 0.5
        rest = np.sqrt(np.maximum(self._longest**2 - (Z**2).sum(axis=1) - prior**2, 0))
        vectors = np.column_stack([Z, prior, rest]).astype(np.float32)[self._ids]
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
        """See `Index.search`; where the graph finds fewer than k labels the rest is padding."""
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
