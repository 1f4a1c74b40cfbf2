"""Approximate search of dense label embeddings by an HNSW graph: labels of a large `cos(f(x), z_l) + bonus_l`.

The bonus becomes part of the cosine by two more coordinates (Bachrach et al. 2014, section 3): a label is
`[z_l, bonus_l, rest_l]`, with `rest_l` making all labels equally long, and a document is `[f(x), 1, 0]`.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats, Ints
from xmlcli.machine.terminal import silent_stderr
from xmlcli.progress import Progress, silent
from xmlcli.shortlists.index import empty_shortlists

_BLOCK = 1024  # documents a call of the graph


class HnswIndex:
    """An HNSW graph of nmslib over the lengthened vectors; approximate, and different at every build.

    One thread builds it: with more the graph depends on their timing.
    """

    def __init__(
        self, Z: Floats, *, bonus: Floats, searchable: Bools, M: int, ef_construction: int,
        ef_search: int,
    ) -> None:  # fmt: skip
        """Z, bonus, searchable as for ExactIndex; M, ef_construction, ef_search as HNSW calls them."""
        with silent_stderr():  # where it tells how it was compiled, which is nothing that a user has to know
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
        """See `Index.search`; where the graph finds fewer than k labels the rest is padding."""
        N = documents.shape[0]
        indices, scores = empty_shortlists(N, k, self._num_labels)
        if not len(self._ids):
            return indices, scores
        queries = np.column_stack([documents, np.ones(N), np.zeros(N)]).astype(np.float32)
        lengths = np.linalg.norm(queries, axis=1) * self._longest
        for start in range(0, N, _BLOCK):
            block = range(start, min(start + _BLOCK, N))
            neighbours = self._index.knnQueryBatch(queries[start : block.stop], k=min(k, len(self._ids)), num_threads=1)
            for row, (near, distance) in zip(block, neighbours, strict=True):
                score = ((1 - distance) * lengths[row]).astype(np.float32)
                order = np.lexsort((near, -score))
                indices[row, : len(near)] = self._ids[near[order]]
                scores[row, : len(near)] = score[order]
            progress("shortlist", block.stop, N)
        return indices, scores
