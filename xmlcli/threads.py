"""Compiled loops over rows, shared out to threads: a kernel that holds no lock, called on ranges of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

_FEW = 16  # rows, for which handing them to threads costs more than it brings
_LARGE = 1e6  # additions, for which two threads cost less than one


@cache
def num_threads() -> int:
    """Return how many processors this process may use, or OMP_NUM_THREADS where that is smaller.

    Not numba's count: asking for it starts numba's own threads, and resets torch's number of them.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(available, int(wanted) if wanted.isdigit() else available))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads(), thread_name_prefix="rows")


def in_turns(
    call: Callable[[Item], Found], items: Sequence[Item], pool: Executor, *, threads: int | None = None
) -> list[Found]:
    """Return what `call` makes of each item, in order; this thread and others of the pool take one after the other.

    threads: how many at most, this one among them; by default as many as there are processors.

    The caller works too, for waking another thread takes as long as a small item, and needs none of the pool's: where
    all are busy, with this call itself perhaps, it does everything.
    """
    found: dict[int, Found] = {}
    left = iter(range(len(items)))

    def work() -> None:
        for at in left:
            found[at] = call(items[at])

    others = [pool.submit(work) for _ in range(min(threads or num_threads(), len(items)) - 1)]
    work()
    for other in others:
        if not other.cancel():
            other.result()
    return [found[at] for at in range(len(items))]


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
    in_turns(lambda at: kernel(at, min(at + step, num_rows)), ranges, _pool(), threads=threads)
