"""Share work among threads: loops over rows, whose compiled kernels hold no lock, and queues of items."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW = 16  # rows; handing fewer to threads costs more than it saves
_LARGE = 1e6  # additions; for fewer, one thread is faster than two
_NICEST = 19


@cache
def num_threads() -> int:
    """Return how many processors this process may use, or OMP_NUM_THREADS where that is smaller.

    Not numba's count: asking for it starts numba's own threads, and resets torch's number of them.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(available, int(wanted) if wanted.isdigit() else available))


@cache
def row_pool() -> ThreadPoolExecutor:
    """Return the threads that share loops over rows; every call returns the same pool."""
    return ThreadPoolExecutor(num_threads(), thread_name_prefix="rows")


class WorkQueue(Generic[Item, Result]):
    """A queue of items, on each of which `call` is called by the thread that takes it.

    Attributes:
        items: in the order in which they are begun.
    """

    def __init__(self, call: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.items = items
        self._call = call
        self._left = iter(range(len(items)))
        self._results: dict[int, Result] = {}

    def take(self, *, until: Callable[[], bool] = lambda: False, progress: Callable[[int], None] | None = None) -> None:
        """Take items until none is left or `until` returns true. `progress` is called with the number of items done."""
        while not until() and (at := next(self._left, None)) is not None:
            self._results[at] = self._call(self.items[at])
            if progress is not None:
                progress(len(self._results))

    def finish(
        self, pool: Executor, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> list[Result]:
        """Take the items left, on this thread and others of the pool. Return all results in the order of the items.

        The calling thread works too: waking another one takes as long as a small item. If all threads of the pool are
        busy, perhaps with the caller itself, the calling thread does everything. Afterwards `call` is released.

        threads: how many at most, the calling one included; by default as many as there are processors.
        """
        others = [pool.submit(self.take) for _ in range(min(threads or num_threads(), len(self.items)) - 1)]
        self.take(progress=progress)
        for other in others:
            if not other.cancel():
                other.result()
        del self._call
        return [self._results.pop(at) for at in range(len(self.items))]


def map_on_threads(
    call: Callable[[Item], Result], items: Sequence[Item], pool: Executor, *, threads: int | None = None
) -> list[Result]:
    """Return the result of `call` for each item, in order. See `WorkQueue.finish`."""
    return WorkQueue(call, items).finish(pool, threads=threads)


@contextmanager
def in_background(queue: WorkQueue[Item, Result] | None) -> Iterator[None]:
    """Let other threads take items while the block runs, at a priority so low that they use only idle time.

    Nothing is done with a single processor, or where threads have no priorities of their own: on Linux they do.
    """
    if queue is None or sys.platform != "linux" or num_threads() == 1:
        yield
        return
    over = threading.Event()
    with ThreadPoolExecutor(num_threads() - 1, "background", _be_nice) as pool:
        others = [pool.submit(queue.take, until=over.is_set) for _ in range(num_threads() - 1)]
        try:
            yield
        finally:
            over.set()
    for other in others:
        other.result()


def _be_nice() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICEST)


def over_rows(num_rows: int, kernel: Callable[[int, int], object], *, cost: float = _LARGE) -> None:
    """Call `kernel(first, last)` on ranges that cover all rows, on as many threads as are worth waking.

    The result of a row must not depend on its range: then it does not depend on the number of threads.

    cost: additions for each row, about; a small task runs on the calling thread alone.
    """
    threads = min(num_threads(), int(2 * num_rows * cost / _LARGE))
    if num_rows <= _FEW or threads <= 1:
        kernel(0, num_rows)
        return
    step = max(1, -(-num_rows // (4 * threads)))  # several ranges a thread, for rows differ in length
    ranges = range(0, num_rows, step)
    map_on_threads(lambda at: kernel(at, min(at + step, num_rows)), ranges, row_pool(), threads=threads)
