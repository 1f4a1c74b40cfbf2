"""The bonus of frequent labels in a search: what it is, and how it is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.shortlists.recall import recall
from xmlcli.shortlists.sharded_index import sharded
from xmlcli.shortlists.word_index import WordIndex

_LENGTH = 100  # of the shortlists whose recall is measured


def label_bonus(frequencies: Floats, num_documents: int, *, prior: float, base_rate: float) -> Floats:
    """Return what frequency adds to a label's cosine, float32 (L,): prior · ln(1 + n) + base_rate · n / N.

    frequencies: n, float32 (L,), training documents of each label; num_documents: N. The second term tells only where a
    label is on a good part of all documents, and then puts it on nearly every shortlist.
    """
    return (prior * np.log1p(frequencies) + base_rate * frequencies / num_documents).astype(np.float32)


def choose_bonus(
    words: sp.csr_matrix, bonuses: Sequence[Floats], searchable: Bools, X: sp.csr_matrix, Y: sp.csr_matrix,
    ranks: Ranks = ALONE,
) -> int:  # fmt: skip
    """Return which of several bonuses gives the shortlists of most recall; the first of equal ones.

    words: float32 CSR (L, F); bonuses: float32 (L,) each; searchable: bool (L,); X float32 CSR (N, F) and Y CSR (N, L)
    are documents that helped to make no centroid. Of several ranks each gives its labels and its documents, Y with the
    columns of all.
    """
    if len(bonuses) == 1 or not ranks.sum_over_ranks(Y.nnz):
        return 0
    index = WordIndex(words, bonus=bonuses[0], searchable=searchable, in_order=False, ranks=ranks)
    no_vectors, recalls = np.empty((X.shape[0], 0), np.float32), []
    for bonus in bonuses:
        of_all_ranks = sharded(index.with_bonus(bonus), words.shape[0], ranks)
        shortlists, _ = of_all_ranks.search(no_vectors, min(_LENGTH, Y.shape[1]), X=X)
        recalls.append(recall(shortlists, Y, ranks))
    return int(np.argmax(recalls))
