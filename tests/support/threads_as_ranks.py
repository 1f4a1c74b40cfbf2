"""Ranks that are threads of one process: the same exchanges as between processes, without starting any."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from xmlcli.distributed.ranks import Ranks

Array = npt.NDArray[Any]
Result = TypeVar("Result")
_SECONDS = 30.0


class _Meeting:
    """Where all ranks come together: each brings a value and gets those of all."""

    def __init__(self, size: int) -> None:
        self.values: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=_SECONDS)

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.values[rank] = value
        self.barrier.wait()
        found = list(self.values)
        self.barrier.wait()
        return found


class ThreadCollectives:
    """See `ranks.Collectives`."""

    def __init__(self, rank: int, meeting: _Meeting) -> None:
        self._rank, self._meeting = rank, meeting
        self.sent = 0

    def all_gather(self, arrays: Sequence[Array]) -> list[list[Array]]:
        self.sent += sum(array.nbytes for array in arrays)
        return [list(part) for part in self._meeting.exchange(self._rank, arrays)]

    def all_to_all(self, arrays: Sequence[Sequence[Array]]) -> list[list[Array]]:
        return [list(part[self._rank]) for part in self._meeting.exchange(self._rank, arrays)]

    def all_reduce(self, table: Any, operation: str) -> Any:
        tables = self._meeting.exchange(self._rank, table)
        if isinstance(table, np.ndarray):
            return {"sum": np.sum, "max": np.max}[operation](tables, axis=0)
        total = tables[0].clone()
        for other in tables[1:]:
            total = total + other if operation == "sum" else total.maximum(other)
        return total

    def broadcast(self, value: Any) -> Any:
        return self._meeting.exchange(self._rank, value)[0]

    def send(self, block: Array, to: int) -> None:
        raise NotImplementedError

    def recv(self, dtype: np.dtype[Any], shape: tuple[int, ...], source: int) -> Array:
        raise NotImplementedError


def on_ranks(size: int, work: Callable[[Ranks], Result]) -> list[Result]:
    """Return what `work` returns on each of so many ranks; an error of one ends all."""
    meeting = _Meeting(size)

    def one(rank: int) -> Result:
        try:
            return work(Ranks(rank, size, ThreadCollectives(rank, meeting)))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        waiting = [pool.submit(one, rank) for rank in range(size)]
    errors = [error for error in (each.exception() for each in waiting) if error is not None]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [each.result() for each in waiting]
