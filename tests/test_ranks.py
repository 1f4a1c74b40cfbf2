"""Several ranks: what they exchange, and that they end together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from planted import sparse_rows
from several import PROJECT, finished, torchrun

from xmlcli.ranks import ALONE, Ranks


def test_one_rank_owns_everything_and_gets_back_what_it_gives() -> None:
    table = np.arange(6).reshape(3, 2)
    matrix = sparse_rows(3, 5, 2, np.random.default_rng(0))
    assert ALONE.share(3) == slice(0, 3)
    assert ALONE.whole(table) is table
    assert ALONE.whole_csr(matrix) is matrix
    assert ALONE.sum(table) is table
    assert ALONE.largest(table) is table
    assert ALONE.gather(table)[0][0] is table
    assert ALONE.exchange([[table]])[0][0] is table
    assert next(iter(ALONE.stream(table))) is table
    assert ALONE.decide(lambda: 3) == 3
    assert ALONE.fetch(table, np.array([2, 0]), 3).tolist() == [[4, 5], [0, 1]]
    assert ALONE.sent == 0


def test_shares_cover_all_rows_once() -> None:
    for total in (0, 1, 2, 7, 100):
        for size in (1, 2, 3, 8):
            rows = [r for rank in range(size) for r in range(total)[Ranks(rank, size).share(total)]]
            assert rows == list(range(total))
            owners = Ranks(0, size).owners(np.arange(total), total)
            shares = [Ranks(rank, size).share(total) for rank in owners]
            assert all(share.start <= row < share.stop for row, share in enumerate(shares))


def test_three_ranks_exchange_what_they_hold_and_write_one_file(tmp_path: Path) -> None:
    code, told = finished(torchrun(str(PROJECT / "tests" / "ranks_checks.py"), str(tmp_path), ranks=3))
    assert code == 0, told
