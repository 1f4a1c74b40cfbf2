"""How much of a label's name, and of its text, stands in a document: compiled.

A name has a head, of which the label is, and a rest, which narrows it down. Both are stems: words cut to their first
letters. A document has a stem where it has a word of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints, Longs
from xmlcli.kernels.compiled import fast_kernel, kernel
from xmlcli.kernels.csr import CsrRows, unsigned
from xmlcli.kernels.row_scores import SparseRows
from xmlcli.machine.threads import over_rows

NAME_SCORES = ("name_share", "name_all", "name_rarity", "name_weight", "rest_share", "rest_weight")
"""What `score_names` gives, in order."""


class NameStems(NamedTuple):
    """The stems of R labels' names, and those of F features.

    Attributes:
        stem_of: int32 (F,), the stem of each feature, S for those that are no words.
        rarity: float32 (S,), what each stem counts.
        offsets: int64 (2 R + 1,), where the stems of each label's head and of its rest begin.
        stems: int32 (nnz,), without those that no feature has.
        total: float32 (2 R,), the rarity of all stems of each head and rest, those that no feature has included.
        counts: float32 (2 R,), how many these are.
    """

    stem_of: Ints
    rarity: Floats
    offsets: Longs
    stems: Ints
    total: Floats
    counts: Floats


def score_names(X: sp.csr_matrix, names: NameStems, candidates: Ints) -> Array:
    """Return the scores `NAME_SCORES` of each candidate, float32 (6, N, k), 0 for padding.

    Of the head: the share of its rarity whose stems the document has; 1 where it has all; then also the rarity of all;
    the mean weight of its stems in the document. Of the rest: the share and the mean weight, 0 where there is no rest.

    X: float32 CSR (N, F); candidates: int32 (N, k), padded with R.
    """
    scores = np.zeros((len(NAME_SCORES), *candidates.shape), np.float32)
    documents, candidates = CsrRows.of(X), np.ascontiguousarray(candidates)
    over_rows(len(candidates), lambda first, last: _score(documents, names, candidates, first, last, scores))
    return scores


@kernel
def _score(X: CsrRows, names: NameStems, candidates: Ints, first: int, last: int, scores: Array) -> None:
    """Score the candidates of documents first, …, last - 1."""
    x_indptr, x_indices, x_data, _ = X  # once: each look into a tuple counts a reference
    stem_of, rarity, offsets, stems, total, counts = names
    weight = np.zeros(len(rarity) + 1, np.float32)
    for i in range(first, last):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            weight[stem_of[x_indices[p]]] += x_data[p]
        weight[-1] = 0
        for j in range(candidates.shape[1]):
            for part in range(2):
                row = 2 * candidates[i, j] + part
                if row >= len(total) or total[row] == 0:
                    continue
                found, found_weight, missing = np.float32(0), np.float32(0), counts[row]
                for q in range(offsets[row], offsets[row + 1]):
                    if weight[stems[q]] > 0:
                        found += rarity[stems[q]]
                        found_weight += weight[stems[q]]
                        missing -= 1
                share, mean_weight = found / total[row], found_weight / counts[row]
                if part == 1:
                    scores[4, i, j], scores[5, i, j] = share, mean_weight
                    continue
                scores[0, i, j], scores[3, i, j] = share, mean_weight
                if missing == 0:
                    scores[1, i, j], scores[2, i, j] = 1, found
        for p in range(x_indptr[i], x_indptr[i + 1]):
            weight[stem_of[x_indices[p]]] = 0


def score_texts(X: sp.csr_matrix, rows: SparseRows, candidates: Ints) -> Floats:
    """Return the share of each candidate's text that the document has, float32 (N, k), 0 for padding and without text.

    X: float32 CSR (N, F); rows: the weights of the R labels' texts, whose features count as their squares; candidates:
    int32 (N, k), padded with R.
    """
    shares = np.zeros(candidates.shape, np.float32)
    documents, candidates = CsrRows.of(X), np.ascontiguousarray(candidates)
    rows = rows._replace(indices=unsigned(rows.indices))
    over_rows(len(candidates), lambda first, last: _share(documents, rows, candidates, first, last, shares))
    return shares


@fast_kernel
def _share(X: CsrRows, rows: SparseRows, candidates: Ints, first: int, last: int, shares: Floats) -> None:
    """Write the shares of documents first, …, last - 1."""
    x_indptr, x_indices, _, (_, num_features) = X
    indptr, indices, data, scale, _ = rows
    there = np.zeros(num_features, np.float32)
    for i in range(first, last):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            there[x_indices[p]] = 1
        for j in range(candidates.shape[1]):
            label = candidates[i, j]
            if label < len(scale):
                found, total = np.float32(0), np.float32(0)
                of_row = slice(indptr[label], indptr[label + 1])
                columns, values = indices[of_row], data[of_row]
                for q in range(len(columns)):  # without an offset, or the compiler does not vectorise
                    square = np.float32(values[q]) * np.float32(values[q])
                    total += square
                    found += square * there[columns[q]]
                if total > 0:
                    shares[i, j] = found / total
        for p in range(x_indptr[i], x_indptr[i + 1]):
            there[x_indices[p]] = 0
