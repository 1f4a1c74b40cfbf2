"""Compiled loops over rows, shared out to threads: a kernel that holds no lock, called on ranges of rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

_FEW = 16  # rows, for which handing them to threads costs more than it brings
_LARGE = 1e6  # additions, for which it costs less


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


def over_rows(num_rows: int, kernel: Callable[[int, int], object], *, cost: float = _LARGE) -> None:
    """Call `kernel(first, last)` on ranges that cover all rows, on as many threads as there are processors.

    Each row's result must not depend on the range it falls into: then it does not depend on the number of threads.
    cost: additions a row, about; a small task is done at once, without the threads.
    """
    if num_rows <= _FEW or num_rows * cost < _LARGE or num_threads() == 1:
        kernel(0, num_rows)
        return
    step = max(1, -(-num_rows // (4 * num_threads())))  # several ranges a thread, for rows differ in length
    for task in [_pool().submit(kernel, at, min(at + step, num_rows)) for at in range(0, num_rows, step)]:
        task.result()
