"""Several processes that train one model together, each called a rank: who owns what, and how they exchange it.

Rows of a table, of labels or of documents, are owned in contiguous ranges: of `total` rows rank r of R has those from
`total * r // R` on. A rank holds the rows it owns; the methods of `Ranks` are all that passes between ranks. With one
rank, `ALONE`, each of them returns what it was given, so that a stage is written once.

All ranks must call the same methods in the same order. Nothing here needs torch; `torch_link` carries the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array

Table = TypeVar("Table")
"""A NumPy array or a torch tensor."""
Value = TypeVar("Value")

_STREAM_BYTES = 1 << 24


class Link(Protocol):
    """What carries bytes between ranks."""

    @property
    def sent(self) -> int:
        """Bytes that this rank has sent."""

    def gather(self, parts: Sequence[Array]) -> list[list[Array]]:
        """Return every rank's arrays; they may differ in their first dimension."""

    def exchange(self, parts: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """Send `parts[r]` to rank r and return what each rank sent here."""

    def reduce(self, table: Any, operation: str) -> Any:
        """Return the tables of all ranks put together entry by entry; `operation` is sum or max."""

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value."""

    def send(self, block: Array, to: int) -> None:
        """Send an array."""

    def receive(self, dtype: np.dtype[Any], shape: tuple[int, ...], source: int) -> Array:
        """Return the array that `source` sends."""


@dataclass(frozen=True)
class Ranks:
    """This process among all that work on the run."""

    rank: int = 0
    size: int = 1
    link: Link | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which plans, writes and prints."""
        return self.rank == 0

    @property
    def sent(self) -> int:
        """Bytes this rank has sent so far."""
        return self.link.sent if self.link else 0

    def bounds(self, total: int) -> npt.NDArray[np.int64]:
        """Return where each rank's share of `total` rows begins, and the end; int64 (R + 1,)."""
        return total * np.arange(self.size + 1, dtype=np.int64) // self.size

    def share(self, total: int) -> slice:
        """Return the rows of `total` that this rank owns."""
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def owners(self, rows: Array, total: int) -> npt.NDArray[np.int64]:
        """Return which rank owns each of the rows; rows at or beyond `total` belong to the rank R."""
        return np.searchsorted(self.bounds(total), rows, side="right") - 1

    def gather(self, *arrays: Array) -> list[list[Array]]:
        """Return the arrays of every rank, rank by rank; those of one place differ in their first dimension only."""
        return self.link.gather(arrays) if self.link else [list(arrays)]

    def whole(self, own: Array) -> Array:
        """Return the rows of all ranks, one rank's after the other's."""
        return np.concatenate([part[0] for part in self.link.gather([own])]) if self.link else own

    def whole_csr(self, own: sp.csr_matrix) -> sp.csr_matrix:
        """Return the rows of all ranks' matrices of one width."""
        if self.link is None:
            return own
        return stack_csr(self.link.gather([np.diff(own.indptr), own.indices, own.data]), own.shape[1])

    def exchange(self, parts: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """Send the arrays `parts[r]` to rank r; return what each rank sent here."""
        return self.link.exchange(parts) if self.link else [list(parts[0])]

    def sum(self, table: Table) -> Table:
        """Return the sum of all ranks' tables, alike to the last bit on each."""
        return self.link.reduce(table, "sum") if self.link else table

    def largest(self, table: Table) -> Table:
        """Return the largest of all ranks' tables, entry by entry."""
        return self.link.reduce(table, "max") if self.link else table

    def total(self, number: float) -> float:
        """Return the sum of one number of each rank."""
        return float(self.sum(np.array([number], np.float64))[0]) if self.link else number

    def most(self, number: int) -> int:
        """Return the largest of one number of each rank."""
        return int(self.largest(np.array([number]))[0]) if self.link else number

    def decide(self, choose: Callable[[], Value]) -> Value:
        """Return what `choose` returns on rank 0, where alone it is called."""
        if self.link is None:
            return choose()
        decided: Value = self.link.broadcast(choose() if self.is_first else None)
        return decided

    def wait(self) -> None:
        """Return when all ranks have come so far."""
        self.total(0)

    def fetch(self, own: Table, rows: npt.NDArray[np.int64], total: int) -> Table:
        """Return on each rank the same rows of a table of `total` rows, of which each rank holds its own (n, D)."""
        if self.link is None:
            return own[rows]  # type: ignore[index, no-any-return]
        share = self.share(total)
        there = (rows >= share.start) & (rows < share.stop)
        found: Any = own[np.where(there, rows - share.start, 0)] if share.stop > share.start else own[:0]  # type: ignore[index]
        if share.stop == share.start:
            found = _empty_like(own, len(rows))
        found[~there] = 0
        return self.sum(found)  # type: ignore[no-any-return]

    def collect(self, own: Array, rows: npt.NDArray[np.int64], total: int) -> Array:
        """Return ascending `rows` of a table of `total` rows, other ones on each rank; each holds its own (n, D)."""
        if self.link is None:
            return own if len(rows) == len(own) else own[rows]
        cuts = np.searchsorted(rows, self.bounds(total)[1:-1])
        asked = self.link.exchange([[part] for part in np.split(rows, cuts)])
        first = self.share(total).start
        answers = self.link.exchange([[own[part[0] - first]] for part in asked])
        return np.concatenate([part[0] for part in answers])

    def stream(self, own: Array) -> Iterator[Array]:
        """Yield on rank 0 the rows of all ranks in order, block by block; the others send theirs and yield nothing."""
        if self.link is None:
            yield own
            return
        lengths = [int(part[0][0]) for part in self.link.gather([np.array([len(own)])])]
        row_bytes = max(own.dtype.itemsize * int(np.prod(own.shape[1:])), 1)
        step = max(_STREAM_BYTES // row_bytes, 1)
        if self.is_first:
            yield own
        for source in range(1, self.size):
            for start in range(0, lengths[source], step):
                stop = min(start + step, lengths[source])
                if self.is_first:
                    yield self.link.receive(own.dtype, (stop - start, *own.shape[1:]), source)
                elif self.rank == source:
                    self.link.send(np.ascontiguousarray(own[start:stop]), 0)


def _empty_like(table: Any, rows: int) -> Any:
    """Return zeros (rows, D) of the kind of `table` (n, D)."""
    if isinstance(table, np.ndarray):
        return np.zeros((rows, *table.shape[1:]), table.dtype)
    return table.new_zeros((rows, *table.shape[1:]))


def stack_csr(parts: Sequence[Sequence[Array]], width: int) -> sp.csr_matrix:
    """Return one CSR matrix of parts (entries a row, columns, values), one below the other."""
    lengths, columns, values = (np.concatenate([part[i] for part in parts]) for i in range(3))
    offsets = np.append(0, np.cumsum(lengths, dtype=np.int64))
    return sp.csr_matrix((values, columns, offsets.astype(columns.dtype)), shape=(len(lengths), width))


ALONE = Ranks()
"""One process that owns everything."""
