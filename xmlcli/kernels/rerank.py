"""Reranking of retrieved labels by the cosines of their vectors, for labels that may come in any order."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmlcli.arrays import Array, Floats, Ints
from xmlcli.kernels.compiled import fast_kernel
from xmlcli.kernels.inverted_file import cut


@fast_kernel
def rerank_rows(
    retrieved: tuple[Ints, Floats], documents: Floats, table: tuple[Array, Any], share: np.float32,
    first: int, last: int, indices: Ints, scores: Floats,
) -> None:  # fmt: skip
    """Write the labels of the largest `score + share * cosine` of documents first, …, last - 1, and these sums.

    retrieved: labels int32 and scores float32, (N, m) each, padded with L and -inf; documents: float32 (N, D); table:
    the numbers of Z (L, D), and its rows' scale or None; indices, scores: (N, k), k at most m. Labels come in the order
    in which they were retrieved; of equal sums the earlier ones are kept.
    """
    (labels, before), (Z, scale), k = retrieved, table, indices.shape[1]
    kept, total = np.empty(labels.shape[1], np.int32), np.empty(labels.shape[1], np.float32)
    for i in range(first, last):
        kept[:], total[:] = labels[i], before[i]
        _add_cosines(documents[i], Z, scale, share, kept, total)
        cut(kept, total, len(kept), k)
        for j in range(k):
            indices[i, j], scores[i, j] = kept[j], total[j]


@fast_kernel
def _add_cosines(document: Floats, Z: Array, scale: Any, share: np.float32, labels: Ints, total: Floats) -> None:
    """Add `share` of the cosine of a document's vector with those of labels to their scores."""
    for j in range(len(labels)):
        if labels[j] < len(Z):
            vector, cosine = Z[labels[j]], np.float32(0)
            for d in range(len(vector)):
                cosine += document[d] * np.float32(vector[d])
            if scale is not None:
                cosine *= scale[labels[j]]
            total[j] += share * cosine
