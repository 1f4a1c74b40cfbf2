"""Votes: which labels the training documents nearest to a document carry, as one more score.

This is a classifier by k nearest neighbours. It errs elsewhere than linear ones, where a label is no direction among
words. Documents are found as labels are, by words, with a larger share for vectors. One that is found votes for its
labels with the weight exp((s - s_best) / T), s its score and s_best that of the nearest; weights are divided by their
sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.config.sections import ShortlistConfig
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.kernels.csr import CsrRows
from xmlcli.kernels.votes import sum_votes
from xmlcli.machine.threads import over_rows
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.make_index import SearchVectors, make_index

_SHARE = 0.5  # of the vectors' cosine in a document's score
_TEMPERATURE = 0.1 * (1 + _SHARE)  # T, a tenth of the largest possible s


@dataclass(frozen=True)
class Voters:
    """Training documents that vote for the labels they carry.

    Attributes:
        index: finds the nearest of N documents, in any order.
        labels: CSR (N, L), an entry for each label that a document carries.
        count: how many documents vote.
    """

    index: Index
    labels: sp.csr_matrix
    count: int

    def __call__(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> Floats:
        """Return each candidate's share of the votes, float32 (n, k) in 0, …, 1; 0 for padding.

        X: float32 CSR (n, F); documents: their vectors, float32 (n, D), of unit or zero length; candidates: int32
        (n, k), padded with L.
        """
        nearest, scores = self.index.search(documents, self.count, X=X)
        scores[np.diff(X.indptr) == 0] = -np.inf  # a document without a word is near to none
        weights, votes = _weights(scores), np.empty(candidates.shape, np.float32)
        labels, candidates = CsrRows.of(self.labels), np.ascontiguousarray(candidates)
        over_rows(len(votes), lambda first, last: sum_votes(nearest, weights, labels, candidates, first, last, votes))
        return votes


def make_voters(
    words: sp.csr_matrix, encode: Callable[[sp.csr_matrix], Floats], labels: sp.csr_matrix, config: ShortlistConfig,
    count: int, ranks: Ranks = ALONE,
) -> Voters:  # fmt: skip
    """Make voters of training documents; `config`: how labels are searched.

    words: float32 CSR (N, F), unit rows less their smallest entries; encode: what makes vectors f(x) of them, float32
    (N, D), of unit or zero length; labels: CSR (N, L). Of several ranks each gives the words of its documents, and
    labels of all.
    """
    N, config = words.shape[0], replace(config, vectors=_SHARE)
    documents = SearchVectors(encode(words), np.zeros(N, np.float32), words)
    index = make_index(documents, np.ones(N, np.bool_), config, in_order=False, ranks=ranks)
    return Voters(index, labels, count)


def _weights(scores: Floats) -> Floats:
    """Return what each document found counts, float32 (n, K), of scores (n, K), -inf for those that are missing."""
    best = scores.max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp((scores - np.where(np.isfinite(best), best, 0)) / np.float32(_TEMPERATURE))
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12), np.float32)
