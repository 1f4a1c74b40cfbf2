"""A search over ranks that are threads, against one of all labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.planted_data import sparse_rows
from support.threads_as_ranks import on_ranks

from xmlcli.distributed.ranks import Ranks
from xmlcli.shortlists.bonus import choose_bonus, label_bonus
from xmlcli.shortlists.sharded_index import best_columns, sharded
from xmlcli.shortlists.word_index import WordIndex

Floats = npt.NDArray[np.float32]
L, N = 50, 21
rng = np.random.default_rng(0)
WORDS, X = sparse_rows(L, 40, 5, rng), sparse_rows(N, 40, 6, rng)
BONUS = np.round(rng.random(L), 1).astype(np.float32)
NO_VECTORS = np.empty((N, 0), np.float32)


def test_columns_come_by_falling_score_and_then_by_id() -> None:
    scores = np.array([[1, 3, 3, 2], [0, 0, 0, 0]], np.float32)
    ids = np.array([[7, 9, 4, 1], [3, 1, 2, 0]])
    assert best_columns(scores, ids, 3).tolist() == [[2, 1, 3], [3, 1, 2]]


@pytest.mark.parametrize("k", [1, 7, L, L + 3])
def test_labels_of_all_ranks_are_ranked_as_those_of_one(k: int) -> None:
    everything = np.ones(L, np.bool_)
    wanted = WordIndex(WORDS, bonus=BONUS, searchable=everything).search(NO_VECTORS, k, X=X)

    def found(ranks: Ranks) -> tuple[npt.NDArray[np.int32], Floats]:
        mine, rows = ranks.share(L), ranks.share(N)
        own = WordIndex(WORDS[mine], bonus=BONUS[mine], searchable=everything[mine], ranks=ranks)
        index = sharded(own, mine.stop - mine.start, ranks)
        return index.search(NO_VECTORS[rows], k, X=X[rows])

    parts = on_ranks(3, found)
    assert np.concatenate([labels for labels, _ in parts]).tolist() == wanted[0].tolist()
    assert np.allclose(np.concatenate([scores for _, scores in parts]), wanted[1], atol=1e-6)


def test_a_bonus_is_chosen_with_the_lengths_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    class Watched(WordIndex):
        def __init__(self, *parts: Any, **more: Any) -> None:
            super().__init__(*parts, **more)
            seen.append(self._file.lengths.tolist())

    monkeypatch.setattr("xmlcli.shortlists.bonus.WordIndex", Watched)
    bonuses = [np.zeros(L, np.float32), BONUS]
    Y = sparse_rows(N, L, 3, np.random.default_rng(2))

    def chosen(ranks: Ranks) -> int:
        mine, rows = ranks.share(L), ranks.share(N)
        own = [bonus[mine] for bonus in bonuses]
        return choose_bonus(WORDS[mine], own, np.ones(L, np.bool_)[mine], X[rows], Y[rows], ranks)

    on_ranks(2, chosen)
    assert seen == [WORDS.getnnz(axis=0).tolist()] * 2


def test_ranks_choose_the_bonus_that_one_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmlcli.shortlists.bonus._LENGTH", 5)
    monkeypatch.setattr("xmlcli.shortlists.word_index.POSTINGS", 12)
    Y = sparse_rows(N, L, 3, np.random.default_rng(2))
    frequencies = np.arange(1, L + 1, dtype=np.float32)
    bonuses = [label_bonus(frequencies, 50, prior=prior, base_rate=0.0) for prior in (0.0, 0.05, 0.2, 1.0, 3.0)]
    wanted = choose_bonus(WORDS, bonuses, frequencies > 0, X, Y)

    def chosen(ranks: Ranks) -> int:
        mine, rows = ranks.share(L), ranks.share(N)
        own = [bonus[mine] for bonus in bonuses]
        return choose_bonus(WORDS[mine], own, frequencies[mine] > 0, X[rows], Y[rows], ranks)

    assert on_ranks(2, chosen) == [wanted] * 2
