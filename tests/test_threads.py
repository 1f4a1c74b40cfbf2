"""Ranges of rows that cover all rows once, whatever the number of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numba
import pytest

from xmlcli import threads
from xmlcli.threads import over_rows


@pytest.fixture(params=[1, 2, 3, 16])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have so many threads, whatever the machine has."""
    monkeypatch.setattr(threads, "get_num_threads", lambda: request.param)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("num_rows", [0, 1, 15, 16, 17, 63, 64, 65, 1000])
def test_every_row_is_covered_once(num_rows: int) -> None:
    lock, seen = threading.Lock(), []

    def kernel(first: int, last: int) -> None:
        with lock:
            seen.extend(range(first, last))

    over_rows(num_rows, kernel)
    assert sorted(seen) == list(range(num_rows))


@pytest.mark.usefixtures("_threads")
def test_what_a_kernel_raises_comes_out() -> None:
    def kernel(first: int, last: int) -> None:
        if last == 100:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_rows(100, kernel)


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
def test_the_number_of_threads_is_numbas() -> None:
    seen: list[tuple[int, int]] = []
    over_rows(1000, lambda first, last: seen.append((first, last)))
    assert seen == [(0, 1000)]
