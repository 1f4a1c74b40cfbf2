"""The bonus of frequent labels: the one chosen gives the shortlists of most recall."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from support.planted_data import labels, sparse_rows

from xmlcli.shortlists.bonus import choose_bonus, label_bonus

Floats = npt.NDArray[np.float32]
PRIORS = (0.0, 1e-9, 0.02, 0.05, 0.1, 0.3, 3.0)
L, F = 30, 25


def recalled(
    words: sp.csr_matrix, frequencies: Floats, bonus: Floats, X: sp.csr_matrix, Y: sp.csr_matrix, k: int
) -> int:
    """Count by loops the pairs that shortlists with this bonus hold; labels without documents stay out."""
    scores = (X @ words.T).toarray() + bonus
    scores[:, frequencies == 0] = -np.inf
    truth = Y.toarray()
    return int(sum(truth[i, np.argsort(-row, kind="stable")[:k]].sum() for i, row in enumerate(scores)))


def test_the_bonus_is_prior_times_log_and_base_rate_times_share() -> None:
    found = label_bonus(np.array([0, 1, 3, 20], np.float32), 40, prior=0.5, base_rate=3.0)
    wanted = [0.0, 0.5 * math.log(2) + 3 / 40, 0.5 * math.log(4) + 9 / 40, 0.5 * math.log(21) + 60 / 40]
    assert found.dtype == np.float32
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_bonus_chosen_is_the_first_of_the_best_recall(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmlcli.shortlists.bonus._LENGTH", 6)
    rng = np.random.default_rng(seed)
    words, X = sparse_rows(L, F, 5, rng), sparse_rows(50, F, 5, rng)
    Y = labels(50, L, rng.integers(0, 4, 50), rng)
    frequencies = np.round(rng.exponential(20, L)).astype(np.float32)
    frequencies[:3] = 0
    searchable = frequencies > 0
    bonuses = [label_bonus(frequencies, 50, prior=prior, base_rate=rate) for prior in PRIORS for rate in (0.0, 0.2)]
    values = [recalled(words, frequencies, bonus, X, Y, 6) for bonus in bonuses]
    assert len(set(values)) > 2
    assert choose_bonus(words, bonuses, searchable, X, Y) == int(np.argmax(values))
    assert choose_bonus(words, bonuses[::-1], searchable, X, Y) == int(np.argmax(values[::-1]))
    alike = [label_bonus(frequencies, 50, prior=prior, base_rate=0.0) for prior in (0.02, 0.02 + 1e-8)]
    assert choose_bonus(words, alike, searchable, X, Y) == choose_bonus(words, alike[::-1], searchable, X, Y) == 0


def test_the_bonus_is_the_first_where_there_is_no_choice_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmlcli.shortlists.bonus.WordIndex", None)  # nothing is searched
    rng = np.random.default_rng(0)
    words, X, Y = sparse_rows(L, F, 5, rng), sparse_rows(4, F, 5, rng), labels(4, L, np.ones(4, int), rng)
    bonuses, searchable = [np.full(L, 0.2, np.float32), np.arange(L, dtype=np.float32)], np.ones(L, np.bool_)
    assert choose_bonus(words, bonuses[:1], searchable, X, Y) == 0
    assert choose_bonus(words, bonuses, searchable, X, sp.csr_matrix((4, L), dtype=np.float32)) == 0
    assert choose_bonus(words, bonuses, searchable, X[:0], Y[:0]) == 0
