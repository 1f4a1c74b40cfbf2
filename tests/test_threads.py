"""Ranges of rows that cover all rows once, whatever the number of threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from xmlcli import threads
from xmlcli.threads import in_turns, over_rows


@pytest.fixture(params=[1, 2, 3, 16])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have so many threads, whatever the machine has."""
    monkeypatch.setattr(threads, "num_threads", lambda: request.param)


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


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("num_items", [0, 1, 2, 7, 100])
def test_items_are_called_once_and_found_in_order(num_items: int) -> None:
    called: list[int] = []

    def call(item: int) -> int:
        called.append(item)
        return item**2

    with ThreadPoolExecutor(3) as pool:
        assert in_turns(call, range(num_items), pool) == [item**2 for item in range(num_items)]
    assert sorted(called) == list(range(num_items))


def test_the_caller_works_with_others_and_alone_where_all_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    both, free = threading.Barrier(2, timeout=30), threading.Event()

    def meet(item: int) -> int:
        both.wait()
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        assert threading.get_ident() in in_turns(meet, [0, 1], pool)
        pool.submit(free.wait, 30)
        assert set(in_turns(lambda _: threading.get_ident(), range(9), pool)) == {threading.get_ident()}
        free.set()


def test_a_small_task_wakes_few_of_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 64)
    asked: list[int] = []

    def in_turns(call: Callable[[int], object], items: range, pool: Executor, *, threads: int) -> None:
        asked.append(threads)
        for item in items:
            call(item)

    monkeypatch.setattr(threads, "in_turns", in_turns)
    for cost in (400, 500, 1000, 2500, 1e6):
        seen: list[tuple[int, int]] = []
        over_rows(1000, lambda first, last, seen=seen: seen.append((first, last)), cost=cost)
        assert [row for first, last in seen for row in range(first, last)] == list(range(1000))
    assert asked == [2, 5, 64]


def test_turns_are_shared_by_as_many_threads_as_allowed() -> None:
    class Counting(ThreadPoolExecutor):
        handed = 0

        def submit(self, *args: Any, **more: Any) -> Any:
            self.handed += 1
            return super().submit(*args, **more)

    with Counting(1) as pool:
        assert in_turns(lambda item: item, range(10), pool, threads=3) == list(range(10))
        assert pool.handed == 2


def test_one_thread_takes_all_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 1)
    seen: list[tuple[int, int]] = []
    over_rows(1000, lambda first, last: seen.append((first, last)))
    assert seen == [(0, 1000)]


@pytest.mark.parametrize(("wanted", "found"), [("1", 1), ("100000", None), ("", None), ("many", None)])
def test_the_number_of_threads_is_the_processors_or_fewer(
    wanted: str, found: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert threads.num_threads.__wrapped__() == (found or len(os.sched_getaffinity(0)))
