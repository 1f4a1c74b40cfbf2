"""What ranks exchange, checked between threads: the checks that `test_ranks` makes between processes, in no time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support import rank_checks
from support.threads_as_ranks import on_ranks

from xmlcli.distributed.ranks import Ranks


@pytest.mark.parametrize(
    "check",
    [rank_checks.check_exchanges, rank_checks.check_search, rank_checks.check_scores, rank_checks.check_votes],
    ids=lambda c: c.__name__,
)
def test_three_ranks_find_what_one_finds(check: Callable[[Ranks], None]) -> None:
    on_ranks(3, check)


def test_rows_are_counted_from_a_ranks_first_and_those_of_others_become_its_end() -> None:
    rows = np.array([[0, 1, 2], [3, 6, 9]])
    found = [Ranks(rank, 3).local(rows, 8).tolist() for rank in range(3)]
    assert found == [[[0, 1, 2], [2, 2, 2]], [[3, 3, 0], [1, 3, 3]], [[3, 3, 3], [3, 1, 3]]]


def test_all_ranks_make_as_many_blocks() -> None:
    found = on_ranks(3, lambda ranks: [(b.start, b.stop) for b in ranks.blocks(2 * ranks.rank, 2)])
    assert found == [[(0, 0), (0, 0)], [(0, 2), (2, 2)], [(0, 2), (2, 4)]]
