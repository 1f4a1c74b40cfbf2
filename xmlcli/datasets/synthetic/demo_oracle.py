"""The best possible ranking of `demo`: each label's probability of being recorded, given the words of a document.

The oracle knows the world (all word distributions and priors) and reads the words of a document, never its labels.
It weighs every set of 2 to 4 labels that can be made of the document's most promising labels by the exact posterior
probability under the generating model, and sums over the sets that hold a label. Ranking by that probability is
optimal for P@k in expectation; the one approximation is leaving out sets with less promising labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.datasets.synthetic.demo_world import DemoParameters, Documents, FloatArray, IntArray, World

NUM_CANDIDATES = 16
_DENSE_CELLS = 1 << 23
_BLOCK = 16


@dataclass(frozen=True)
class _Sets:
    """All label sets over C candidates, S of them.

    Attributes:
        member: int64 (S, M), places of the candidates; C, which stands for none, behind the last.
        size: int64 (S,). log_size_prior: float64 (S,), log P(size).
        indicator: float64 CSR (C, S).
    """

    member: IntArray
    size: IntArray
    log_size_prior: FloatArray
    indicator: sp.csr_matrix

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return sums over the members of each set: (b, C, ...) becomes (b, S, ...).

        Without BLAS, whose sums depend on the number of threads.
        """
        zero = np.zeros_like(values[:, :1])
        padded = np.concatenate([values, zero], axis=1)
        total = padded[:, self.member[:, 0]]
        for column in self.member.T[1:]:
            total += padded[:, column]
        return total


def rank_labels(
    world: World, parameters: DemoParameters, documents: Documents, num_candidates: int = NUM_CANDIDATES
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Rank labels for each document by its words.

    Returns:
        labels int32 (n, C), best first, and the probability of each being recorded, float32 (n, C).
    """
    num_candidates = min(num_candidates, parameters.num_labels)
    candidates = _promising(world, parameters, documents, num_candidates)
    chance = np.empty(candidates.shape, dtype=np.float32)
    sets = _all_sets(parameters, num_candidates)
    base = _log_theme_base(world, parameters)
    for start in range(0, len(candidates), _BLOCK):
        block = slice(start, start + _BLOCK)
        words = _padded(documents, start, min(start + _BLOCK, len(candidates)))
        log_posterior = _log_likelihood(world, parameters, words, candidates[block], sets)
        log_posterior += _log_prior(world, parameters, candidates[block], sets, base)
        log_posterior -= log_posterior.max(axis=1, keepdims=True)
        posterior = np.exp(log_posterior)
        posterior /= posterior.sum(axis=1, keepdims=True)
        # A label of a set of m is recorded unless it goes missing; if all do, one of the m stays.
        recorded = (1 - parameters.missing) + parameters.missing**sets.size / sets.size
        chance[block] = (sets.indicator @ (posterior * recorded).T).T
    order = np.lexsort((candidates, -chance), axis=1)
    return (
        np.take_along_axis(candidates, order, axis=1).astype(np.int32),
        np.take_along_axis(chance, order, axis=1),
    )


def _promising(world: World, parameters: DemoParameters, documents: Documents, num: int) -> IntArray:
    """Return the labels with the highest log prior plus log likelihood ratio, each taken alone, int64 (n, num)."""
    p = parameters
    num_labels, num_own = world.own_words.shape
    num_words = len(world.vocabulary)
    typical_share = (1 - p.background_share) / float(np.dot(*np.array(p.set_sizes).T))
    usual = _usual_words(world, p)
    own = sp.csr_matrix(
        (np.tile(world.own_shares, num_labels), (world.own_words.ravel(), np.repeat(np.arange(num_labels), num_own))),
        shape=(num_words, num_labels),
    )
    own.sum_duplicates()
    rows = np.repeat(np.arange(num_words), np.diff(own.indptr))
    own.data = np.log1p(typical_share * p.own_share * own.data / usual[rows])
    of_theme = np.flatnonzero(world.word_theme >= 0)
    ratio = np.log1p(typical_share * (1 - p.own_share) * world.word_share[of_theme] / usual[of_theme])
    themes = sp.csr_matrix((ratio, (of_theme, world.word_theme[of_theme])), shape=(num_words, len(world.theme_words)))
    ones = np.ones(len(documents.words))
    X = sp.csr_matrix((ones, documents.words, documents.word_start), shape=(len(documents.word_start) - 1, num_words))
    log_prior = np.log(world.prior)
    chosen = np.empty((X.shape[0], num), dtype=np.int64)
    step = max(1, _DENSE_CELLS // num_labels)
    for start in range(0, X.shape[0], step):
        block = X[start : start + step]
        score = (block @ own).toarray() + (block @ themes).toarray()[:, world.theme_of] + log_prior
        chosen[start : start + step] = np.argpartition(-score, num - 1, axis=1)[:, :num]
    return np.sort(chosen, axis=1)


def _usual_words(world: World, parameters: DemoParameters) -> FloatArray:
    """Return the probability of each word in a document of unknown labels, float64 (V,)."""
    p = parameters
    own = np.bincount(
        world.own_words.ravel(),
        weights=(world.prior[:, None] * world.own_shares).ravel(),
        minlength=len(world.vocabulary),
    )
    theme = np.where(world.word_theme >= 0, world.theme_prior[world.word_theme] * world.word_share, 0.0)
    labels = p.own_share * own + (1 - p.own_share) * theme
    usual: FloatArray = p.background_share * world.background + (1 - p.background_share) * labels
    return usual


def _all_sets(parameters: DemoParameters, num_candidates: int) -> _Sets:
    most = max(size for size, _ in parameters.set_sizes)
    member = np.array(
        [
            chosen + (num_candidates,) * (most - size)
            for size, _ in parameters.set_sizes
            for chosen in combinations(range(num_candidates), size)
        ]
    )
    used = member < num_candidates
    rows = np.nonzero(used)[0]
    indicator = sp.csr_matrix((np.ones(len(rows)), (member[used], rows)), shape=(num_candidates, len(member)))
    shares = dict(parameters.set_sizes)
    size = used.sum(axis=1)
    return _Sets(member, size, np.log([shares[int(count)] for count in size]), indicator)


def _padded(documents: Documents, start: int, stop: int) -> IntArray:
    """Return the words of some documents, int64 (b, n), padded with -1."""
    begin, lengths = documents.word_start[start:stop], np.diff(documents.word_start[start : stop + 1])
    places = np.arange(lengths.max())
    inside = places < lengths[:, None]
    return np.where(inside, documents.words[np.where(inside, begin[:, None] + places, 0)], -1)


def _log_likelihood(
    world: World, parameters: DemoParameters, words: IntArray, candidates: IntArray, sets: _Sets
) -> FloatArray:
    """Return the log probability of each document's words under each set of its candidates, float64 (b, S)."""
    p = parameters
    own = (world.own_words[candidates][:, :, None, :] == words[:, None, :, None]) @ world.own_shares  # (b, C, n)
    same = world.word_theme[words][:, None, :] == world.theme_of[candidates][:, :, None]
    theme = np.where(same, world.word_share[words][:, None, :], 0.0)
    label_word = (p.own_share * own + (1 - p.own_share) * theme).astype(np.float32)
    mixed = sets.sums(label_word)  # (b, S, n)
    mixed *= ((1 - p.background_share) / sets.size).astype(np.float32)[:, None]
    mixed += (p.background_share * world.background[words]).astype(np.float32)[:, None, :]
    mixed = np.where((words >= 0)[:, None, :], mixed, np.float32(1.0))
    total: FloatArray = np.log(mixed).sum(axis=2, dtype=np.float64)
    return total


def _log_theme_base(world: World, parameters: DemoParameters) -> dict[int, FloatArray]:
    """Return for each set size m the log of m! P(theme) / P(m draws differ | theme), float64 (T,)."""
    rho, theme_prior = parameters.same_theme, world.theme_prior
    sums = [np.zeros(0)]
    for power in range(1, 5):
        inside = np.bincount(world.theme_of, weights=world.prior**power, minlength=len(theme_prior))
        boost = (rho / theme_prior + 1 - rho) ** power
        sums.append((1 - rho) ** power * (inside.sum() - inside) + inside * boost)
    _, p1, p2, p3, p4 = sums
    elementary = {  # Newton's identities: sums over all sets of m labels of the product of their probabilities
        1: p1,
        2: (p1**2 - p2) / 2,
        3: (p1**3 - 3 * p1 * p2 + 2 * p3) / 6,
        4: (p1**4 - 6 * p1**2 * p2 + 3 * p2**2 + 8 * p1 * p3 - 6 * p4) / 24,
    }
    return {size: np.log(theme_prior) - np.log(elementary[size]) for size, _ in parameters.set_sizes}


def _log_prior(
    world: World, parameters: DemoParameters, candidates: IntArray, sets: _Sets, base: dict[int, FloatArray]
) -> FloatArray:
    """Return the log probability of each set, summed over the document's possible themes, float64 (b, S)."""
    rho = parameters.same_theme
    theme = world.theme_of[candidates]  # (b, C)
    prior = world.prior[candidates]
    elsewhere = np.log((1 - rho) * prior)
    boost = np.log(rho * prior / world.theme_prior[theme] + (1 - rho) * prior) - elsewhere
    same = theme[:, :, None] == theme[:, None, :]  # (b, C, C'), candidate and theme of candidate c'
    first = np.argmax(same, axis=1) == np.arange(theme.shape[1])  # each theme once
    in_theme = sets.sums(boost[:, :, None] * same)  # (b, S, C')
    result: FloatArray = sets.log_size_prior + sets.sums(elsewhere)
    for size, log_base in base.items():
        of_size = sets.size == size
        weight = np.where(first, np.exp(log_base[theme]), 0.0)  # (b, C')
        others = np.exp(log_base).sum() - weight.sum(axis=1)
        reached = (np.exp(in_theme[:, of_size]) * weight[:, None, :]).sum(axis=2)
        result[:, of_size] += np.log(reached + np.maximum(others, 0.0)[:, None])
    return result
