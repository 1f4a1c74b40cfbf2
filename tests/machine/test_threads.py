"""Ranges of rows that cover all rows once, whatever the number of threads."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from xmlcli.machine import threads
from xmlcli.machine.threads import WorkQueue, in_background, map_on_threads, over_rows


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
        assert map_on_threads(call, range(num_items), pool) == [item**2 for item in range(num_items)]
    assert sorted(called) == list(range(num_items))


def test_the_caller_works_with_others_and_alone_where_all_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    both, free = threading.Barrier(2, timeout=30), threading.Event()

    def meet(item: int) -> int:
        both.wait()
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        assert threading.get_ident() in map_on_threads(meet, [0, 1], pool)
        pool.submit(free.wait, 30)
        assert set(map_on_threads(lambda _: threading.get_ident(), range(9), pool)) == {threading.get_ident()}
        free.set()


def test_a_small_task_wakes_few_of_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 64)
    asked: list[int] = []

    def map_on_threads(call: Callable[[int], object], items: range, pool: Executor, *, threads: int) -> None:
        asked.append(threads)
        for item in items:
            call(item)

    monkeypatch.setattr(threads, "map_on_threads", map_on_threads)
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
        assert map_on_threads(lambda item: item, range(10), pool, threads=3) == list(range(10))
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


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no thread has a priority of its own")


@on_linux
def test_threads_of_low_priority_take_turns_while_a_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 3)
    both, taken = threading.Barrier(2, timeout=30), threading.Event()

    def call(item: int) -> tuple[int, int, int]:
        if item < 2:
            both.wait()
        if item == 4:
            taken.set()
        return item, threading.get_ident(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    turns = WorkQueue(call, range(5))
    with in_background(turns):
        assert taken.wait(30)
    with ThreadPoolExecutor(1) as pool:
        found = turns.finish(pool)
    assert [item for item, _, _ in found] == list(range(5))
    assert threading.get_ident() not in {who for _, who, _ in found}
    assert len({who for _, who, _ in found[:2]}) == 2
    assert {priority for _, _, priority in found} == {19}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


@on_linux
def test_when_the_block_ends_no_more_turns_are_taken_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    begun, go_on, called = threading.Event(), threading.Event(), []

    def call(item: int) -> int:
        called.append(item)
        begun.set()
        assert go_on.wait(30)
        return item

    turns = WorkQueue(call, range(10))
    with pytest.raises(KeyboardInterrupt), in_background(turns):
        assert begun.wait(30)
        threading.Timer(0.2, go_on.set).start()
        raise KeyboardInterrupt
    assert called == [0]
    with ThreadPoolExecutor(1) as pool:
        assert turns.finish(pool) == list(range(10))
    assert sorted(called) == list(range(10))


@on_linux
def test_what_is_raised_aside_comes_out_when_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    called = threading.Event()

    def call(item: int) -> None:
        called.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), in_background(WorkQueue(call, [0])):
        assert called.wait(30)


@pytest.mark.parametrize(("platform", "count"), [("darwin", 2), ("linux", 1)])
def test_nothing_is_done_aside_without_priorities_or_a_second_processor(
    platform: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: count)
    monkeypatch.setattr(sys, "platform", platform)
    called: list[int] = []
    turns = WorkQueue(called.append, range(9))
    with in_background(turns), in_background(None):
        time.sleep(0.05)
    assert not called
    with ThreadPoolExecutor(1) as pool:
        turns.finish(pool)
    assert sorted(called) == list(range(9))


def test_progress_hears_of_all_turns_that_are_done() -> None:
    heard: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        WorkQueue(lambda item: item, range(5)).finish(pool, threads=1, progress=heard.append)
    assert heard == [1, 2, 3, 4, 5]


def test_finished_turns_hold_nothing_of_what_they_were_called_with() -> None:
    class Documents:
        def of(self, item: int) -> int:
            return item

    documents = Documents()
    held, turns = weakref.ref(documents), WorkQueue(documents.of, range(4))
    del documents
    with ThreadPoolExecutor(2) as pool:
        assert held() is not None
        assert turns.finish(pool) == [0, 1, 2, 3]
    assert held() is None
