"""Compiled loops over rows, shared out to threads: a kernel that holds no lock, called on ranges of rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from numba import get_num_threads

_FEW = 16  # rows, for which starting threads costs more than it brings


def over_rows(num_rows: int, kernel: Callable[[int, int], object]) -> None:
    """Call `kernel(first, last)` on ranges that cover all rows, on as many threads as numba would use.

    Each row's result must not depend on the range it falls into: then it does not depend on the number of threads.
    """
    num_threads = get_num_threads()
    if num_rows <= _FEW or num_threads == 1:
        kernel(0, num_rows)
        return
    step = max(1, -(-num_rows // (4 * num_threads)))  # several ranges a thread, for rows differ in length
    with ThreadPoolExecutor(num_threads) as pool:
        for task in [pool.submit(kernel, at, min(at + step, num_rows)) for at in range(0, num_rows, step)]:
            task.result()
