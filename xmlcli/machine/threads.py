"""Work shared out to threads: compiled loops over rows, whose kernels hold no lock, and items taken in turns."""

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
Found = TypeVar("Found")

_FEW = 16  # rows, for which handing them to threads costs more than it brings
_LARGE = 1e6  # additions, for which two threads cost less than one
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
    """Return the threads that share loops over rows, the same ones each time."""
    return ThreadPoolExecutor(num_threads(), thread_name_prefix="rows")


class WorkQueue(Generic[Item, Found]):
    """What `call` makes of each item: threads take one after the other, as they have time.

    Attributes:
        items: in the order in which they are begun.
    """

    def __init__(self, call: Callable[[Item], Found], items: Sequence[Item]) -> None:
        self.items = items
        self._call = call
        self._left = iter(range(len(items)))
        self._found: dict[int, Found] = {}

    def take(self, *, until: Callable[[], bool] = lambda: False, progress: Callable[[int], None] | None = None) -> None:
        """Take one item after the other until none is left, or `until` says so; `progress` hears how many are done."""
        while not until() and (at := next(self._left, None)) is not None:
            self._found[at] = self._call(self.items[at])
            if progress is not None:
                progress(len(self._found))

    def finish(
        self, pool: Executor, *, threads: int | None = None, progress: Callable[[int], None] | None = None
    ) -> list[Found]:
        """Take what is left, this thread and others of the pool; return what was found, in the order of the items.

        What the call was made of is let go then.

        threads: how many at most, this one among them; by default as many as there are processors.

        The caller works too, for waking another thread takes as long as a small item, and needs none of the pool's:
        where all are busy, with this call itself perhaps, it does everything.
        """
        others = [pool.submit(self.take) for _ in range(min(threads or num_threads(), len(self.items)) - 1)]
        self.take(progress=progress)
        for other in others:
            if not other.cancel():
                other.result()
        del self._call
        return [self._found.pop(at) for at in range(len(self.items))]


def map_on_threads(
    call: Callable[[Item], Found], items: Sequence[Item], pool: Executor, *, threads: int | None = None
) -> list[Found]:
    """Return what `call` makes of each item, in order, by `WorkQueue.finish`."""
    return WorkQueue(call, items).finish(pool, threads=threads)


@contextmanager
def in_background(turns: WorkQueue[Item, Found] | None) -> Iterator[None]:
    """Let other threads take turns while the block runs, of a priority so low that they have what it leaves idle.

    Where a thread cannot have a priority of its own (it can on Linux), or may use no second processor, nothing is done.
    """
    if turns is None or sys.platform != "linux" or num_threads() == 1:
        yield
        return
    over = threading.Event()
    with ThreadPoolExecutor(num_threads() - 1, "aside", _be_nice) as pool:
        others = [pool.submit(turns.take, until=over.is_set) for _ in range(num_threads() - 1)]
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

    Each row's result must not depend on the range it falls into: then it does not depend on the number of threads.
    cost: additions a row, about; a small task is done at once, without the threads.
    """
    threads = min(num_threads(), int(2 * num_rows * cost / _LARGE))
    if num_rows <= _FEW or threads <= 1:
        kernel(0, num_rows)
        return
    step = max(1, -(-num_rows // (4 * threads)))  # several ranges a thread, for rows differ in length
    ranges = range(0, num_rows, step)
    map_on_threads(lambda at: kernel(at, min(at + step, num_rows)), ranges, row_pool(), threads=threads)
