"""How much of a label's name, and of its text, stands in a document: compiled.

A name has a head, of which the label is, and a rest, which narrows it down. Both are stems: words cut to their first
letters. A document has a stem where it has a word of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Ints
from xmlcli.kernels.compiled import fast_kernel
from xmlcli.kernels.csr import CsrRows, unsigned
from xmlcli.kernels.row_scores import SparseRows
from xmlcli.machine.threads import over_rows

NAME_SCORES = ("name_share", "name_all", "name_rarity", "name_weight", "rest_share", "rest_weight")
"""What `score_names` gives, in order."""
TEXT_SCORES = ("label_text", "text_share")
"""What `score_texts` gives, in order."""


class NameStems(NamedTuple):
    """The stems of R labels' names, and those of F features.

    Attributes:
        stem_of: uint32 (F,), the stem of each feature, S for those that are no words.
        rarity: float32 (S,), what each stem counts.
        offsets: int32 (R, 3), where the stems of each label's head begin, those of its rest, and where these end.
        stems: uint32 (nnz,), without those that no feature has.
        sums: float32 (R, 4), of each head the rarity of all stems and their number, those that no feature has included;
            then the same of its rest.
    """

    stem_of: Array
    rarity: Floats
    offsets: Ints
    stems: Array
    sums: Floats


def score_names(X: sp.csr_matrix, names: NameStems, candidates: Ints) -> Array:
    """Return the scores `NAME_SCORES` of each candidate, float32 (6, N, k), 0 for padding.

    Of the head: the share of its rarity whose stems the document has; 1 where it has all; then also the rarity of all;
    the mean weight of its stems in the document. Of the rest: the share and the mean weight, 0 where there is no rest.

    X: float32 CSR (N, F); candidates: int32 (N, k), padded with R.
    """
    scores = np.zeros((len(NAME_SCORES), *candidates.shape), np.float32)
    documents, candidates = CsrRows.of(X).unsigned(), np.ascontiguousarray(candidates)
    over_rows(len(candidates), lambda first, last: _score_names(documents, names, candidates, first, last, scores))
    return scores


@fast_kernel
def _score_names(X: CsrRows, names: NameStems, candidates: Ints, first: int, last: int, scores: Array) -> None:
    """Score the candidates of documents first, …, last - 1."""
    x_indptr, x_indices, x_data, _ = X  # once: each look into a tuple counts a reference
    stem_of, rarity, offsets, stems, sums = names
    head_share, everything, sum_of_all, head_weight, rest_share, rest_weight = (
        scores[0], scores[1], scores[2], scores[3], scores[4], scores[5],
    )  # fmt: skip
    weight = np.zeros(len(rarity) + 1, np.float32)
    for i in range(first, last):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            weight[stem_of[x_indices[p]]] += x_data[p]
        for j in range(candidates.shape[1]):
            label = candidates[i, j]
            if label >= len(sums):
                continue
            number, found, found_weight = np.float32(0), np.float32(0), np.float32(0)
            for q in range(offsets[label, 0], offsets[label, 1]):  # slices and calls would take twice as long
                stem = stems[q]
                there = np.float32(weight[stem] > 0)
                number, found, found_weight = number + there, found + there * rarity[stem], found_weight + weight[stem]
            if number > 0:
                head_share[i, j], head_weight[i, j] = found / sums[label, 0], found_weight / sums[label, 1]
                if number == sums[label, 1]:
                    everything[i, j], sum_of_all[i, j] = 1, found
            found, found_weight = np.float32(0), np.float32(0)
            for q in range(offsets[label, 1], offsets[label, 2]):
                stem = stems[q]
                found, found_weight = found + np.float32(weight[stem] > 0) * rarity[stem], found_weight + weight[stem]
            if found > 0:
                rest_share[i, j], rest_weight[i, j] = found / sums[label, 2], found_weight / sums[label, 3]
        for p in range(x_indptr[i], x_indptr[i + 1]):
            weight[stem_of[x_indices[p]]] = 0


def score_texts(X: sp.csr_matrix, rows: SparseRows, candidates: Ints) -> Array:
    """Return the scores `TEXT_SCORES` of each candidate, float32 (2, N, k), 0 for padding and without text.

    These are the product of document and text, and the share of the text that the document has, features counted as the
    squares of their weights.

    X: float32 CSR (N, F); rows: the weights of the R labels' texts; candidates: int32 (N, k), padded with R.
    """
    scores = np.zeros((len(TEXT_SCORES), *candidates.shape), np.float32)
    documents, candidates = CsrRows.of(X).unsigned(), np.ascontiguousarray(candidates)
    rows = rows._replace(indices=unsigned(rows.indices))
    over_rows(len(candidates), lambda first, last: _score_texts(documents, rows, candidates, first, last, scores))
    return scores


@fast_kernel
def _score_texts(X: CsrRows, rows: SparseRows, candidates: Ints, first: int, last: int, scores: Array) -> None:
    """Score the candidates of documents first, …, last - 1."""
    x_indptr, x_indices, x_data, (_, num_features) = X
    indptr, indices, data, scale, _ = rows
    products, shares = scores[0], scores[1]
    x = np.zeros(num_features, np.float32)
    for i in range(first, last):
        for p in range(x_indptr[i], x_indptr[i + 1]):
            x[x_indices[p]] = x_data[p]
        for j in range(candidates.shape[1]):
            label = candidates[i, j]
            if label < len(scale):
                product, found, total = np.float32(0), np.float32(0), np.float32(0)
                of_row = slice(indptr[label], indptr[label + 1])
                columns, values = indices[of_row], data[of_row]
                for q in range(len(columns)):  # without an offset, or the compiler does not vectorise
                    value, weight = np.float32(values[q]), x[columns[q]]
                    product += value * weight
                    total += value * value
                    found += value * value * np.float32(weight > 0)
                products[i, j] = product * scale[label]
                if total > 0:
                    shares[i, j] = found / total
        for p in range(x_indptr[i], x_indptr[i + 1]):
            x[x_indices[p]] = 0
