"""Exact search of dense label embeddings by blocked products: the labels of the largest `cos(f(x), z_l) + bonus_l`."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from xmlcli.arrays import Bools, Floats, Ints, Longs
from xmlcli.kernels.dense_top_k import top_k_within
from xmlcli.machine.threads import over_rows
from xmlcli.machine.torch_threads import matrix_dtype
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import empty_shortlists

_BLOCK = 1024
_ERROR = 2.0**-6  # bound on the error of a bfloat16 product of unit vectors: 2^-8 each for input and output, doubled


class ExactIndex:
    """Blocked products of all documents with all labels; on CPUs that have it in bfloat16, made exact in float32.

    A block of bfloat16 scores shows which labels can be among the k best at all: those within the product's error bound
    of the k-th. Only these are scored in float32.
    """

    def __init__(self, Z: Floats, *, bonus: Floats, searchable: Bools, device: str = "cpu") -> None:
        """Z: float32 (L, D) unit rows; bonus: float32 (L,); searchable: bool (L,)."""
        self._ids = np.flatnonzero(searchable).astype(np.int32)
        self._num_labels = Z.shape[0]
        self._device = device
        self._Z = torch.from_numpy(np.ascontiguousarray(Z[self._ids])).to(device)
        self._bonus = np.ascontiguousarray(bonus[self._ids], np.float32)

    def search(
        self, documents: Floats, k: int, *, X: sp.csr_matrix | None = None, progress: Progress = silent
    ) -> tuple[Ints, Floats]:
        """See `Index.search`."""
        N = documents.shape[0]
        indices, scores = empty_shortlists(N, k, self._num_labels)
        width = min(k, len(self._ids))
        if width == 0:
            return indices, scores
        dtype = matrix_dtype(self._device)
        Z = self._Z.to(dtype)
        for start in range(0, N, _BLOCK):
            block = slice(start, min(start + _BLOCK, N))
            F = torch.from_numpy(documents[block]).to(self._device)
            approximate = (F.to(dtype) @ Z.T).float()  # (B, L')
            if self._device == "cpu":
                margin = np.float32(_ERROR if dtype == torch.bfloat16 else 0.0)
                local, best = self._top_k(approximate.numpy(), documents[block], width, margin)
            else:
                bonus = torch.from_numpy(self._bonus).to(self._device)
                local, best = _top_k_on_card(approximate, F, self._Z, bonus, width)
            indices[block, :width] = self._ids[local]
            scores[block, :width] = best
            progress("shortlist", block.stop, N)
        return indices, scores

    def _top_k(self, S: Floats, F: Floats, k: int, margin: np.float32) -> tuple[Longs, Floats]:
        """Return the k best columns of each row of S (B, L'), ordered by exact score, then by lower column."""
        indices, scores, Z = np.empty((len(S), k), np.int64), np.empty((len(S), k), np.float32), self._Z.numpy()
        over_rows(len(S), lambda first, last: top_k_within(S, F, Z, self._bonus, margin, first, last, indices, scores))
        return indices, scores


def _top_k_on_card(
    approximate: torch.Tensor, F: torch.Tensor, Z: torch.Tensor, bonus: torch.Tensor, k: int
) -> tuple[Longs, Floats]:
    """Take twice as many labels by the approximate scores, score them in float32, keep the best k."""
    approximate = approximate + bonus  # (B, L')
    candidates = approximate.topk(min(2 * k, approximate.shape[1]), dim=1).indices.sort(dim=1).values  # (B, 2k)
    exact = torch.einsum("bd,bkd->bk", F, Z[candidates]) + bonus[candidates]
    order = exact.argsort(dim=1, descending=True, stable=True)[:, :k]
    return candidates.gather(1, order).cpu().numpy(), exact.gather(1, order).cpu().numpy()
