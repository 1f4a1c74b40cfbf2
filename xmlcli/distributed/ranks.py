"""Ranks: the processes that train one model together. Which rows each of them owns, and how they exchange rows.

A rank owns a contiguous range of the rows of a table, of labels or of documents: of `total` rows rank r of R owns those
from `total * r // R` on. A rank holds only the rows it owns. All exchange goes through the methods of `Ranks`. With one
rank, `ALONE`, each method returns what it was given, so that a stage is written once.

All ranks must call the same methods in the same order. Nothing here needs torch; `torch_collectives` sends the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array, Ints, Longs

Table = TypeVar("Table")
"""A NumPy array or a torch tensor."""
Value = TypeVar("Value")

_STREAM_BYTES = 1 << 24


class Collectives(Protocol):
    """The collective operations between ranks, whatever library sends the bytes."""

    @property
    def sent(self) -> int:
        """Bytes that this rank has sent."""

    def all_gather(self, arrays: Sequence[Array]) -> list[list[Array]]:
        """Return every rank's arrays; they may differ in their first dimension."""

    def all_to_all(self, arrays: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """Send `arrays[r]` to rank r and return what each rank sent here."""

    def all_reduce(self, table: Any, operation: str) -> Any:
        """Return the tables of all ranks reduced entry by entry; `operation` is sum or max."""

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value."""

    def send(self, block: Array, to: int) -> None:
        """Send an array."""

    def recv(self, dtype: np.dtype[Any], shape: tuple[int, ...], source: int) -> Array:
        """Return the array that `source` sends."""


@dataclass(frozen=True)
class Ranks:
    """This process among all processes of the run."""

    rank: int = 0
    size: int = 1
    collectives: Collectives | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which plans, writes and prints."""
        return self.rank == 0

    @property
    def sent(self) -> int:
        """Bytes this rank has sent so far."""
        return self.collectives.sent if self.collectives else 0

    def bounds(self, total: int) -> Longs:
        """Return where each rank's share of `total` rows begins, and the end; int64 (R + 1,)."""
        return total * np.arange(self.size + 1, dtype=np.int64) // self.size

    def share(self, total: int) -> slice:
        """Return the rows of `total` that this rank owns."""
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def owners(self, rows: Array, total: int) -> Longs:
        """Return which rank owns each of the rows; rows at or beyond `total` belong to the rank R."""
        return np.searchsorted(self.bounds(total), rows, side="right") - 1

    def local(self, rows: Array, total: int) -> Ints:
        """Return rows counted from this rank's first one, int32 of any shape; those of other ranks become its end."""
        share = self.share(total)
        own = (rows >= share.start) & (rows < share.stop)
        numbers: Ints = np.where(own, rows - share.start, share.stop - share.start).astype(np.int32)
        return numbers

    def blocks(self, num_rows: int, size: int) -> Iterator[slice]:
        """Yield slices of this rank's rows, `size` rows each, as many slices on all ranks: the last ones may be empty.

        So ranks that exchange something block by block make the same number of exchanges.
        """
        for start in range(0, self.max_over_ranks(num_rows), size):
            yield slice(min(start, num_rows), min(start + size, num_rows))

    def all_gather(self, *arrays: Array) -> list[list[Array]]:
        """Return the arrays of every rank, rank by rank; those of one place differ in their first dimension only."""
        return self.collectives.all_gather(arrays) if self.collectives else [list(arrays)]

    def all_gather_rows(self, own: Array) -> Array:
        """Return the rows of all ranks, one rank's after the other's."""
        return np.concatenate([part[0] for part in self.collectives.all_gather([own])]) if self.collectives else own

    def all_gather_csr(self, own: sp.csr_matrix) -> sp.csr_matrix:
        """Return the rows of all ranks' matrices of one width."""
        if self.collectives is None:
            return own
        parts = self.collectives.all_gather([np.diff(own.indptr), own.indices, own.data])
        return stack_csr(parts, own.shape[1])

    def all_to_all(self, arrays: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """Send the arrays `arrays[r]` to rank r; return what each rank sent here."""
        return self.collectives.all_to_all(arrays) if self.collectives else [list(arrays[0])]

    def all_reduce_sum(self, table: Table) -> Table:
        """Return the sum of all ranks' tables, the same bits on each rank."""
        return self.collectives.all_reduce(table, "sum") if self.collectives else table

    def all_reduce_max(self, table: Table) -> Table:
        """Return the largest of all ranks' tables, entry by entry."""
        return self.collectives.all_reduce(table, "max") if self.collectives else table

    def sum_over_ranks(self, number: float) -> float:
        """Return the sum of one number of each rank."""
        return float(self.all_reduce_sum(np.array([number], np.float64))[0]) if self.collectives else number

    def max_over_ranks(self, number: int) -> int:
        """Return the largest of one number of each rank."""
        return int(self.all_reduce_max(np.array([number]))[0]) if self.collectives else number

    def broadcast(self, compute: Callable[[], Value]) -> Value:
        """Return on every rank what `compute` returns on rank 0; only rank 0 calls it."""
        if self.collectives is None:
            return compute()
        value: Value = self.collectives.broadcast(compute() if self.is_first else None)
        return value

    def barrier(self) -> None:
        """Wait until all ranks have called this."""
        self.sum_over_ranks(0)

    def ask_owners(
        self, answer: Callable[[Sequence[Array], sp.csr_matrix], Sequence[Array]], arrays: Sequence[Array],
        X: sp.csr_matrix,
    ) -> list[list[Array]]:  # fmt: skip
        """Let every rank answer about this rank's documents, for the labels it owns; return the answers, rank by rank.

        answer: called with the arrays and X of one rank's documents, returns arrays; arrays: (n, …) each, of this
        rank's documents; X: float32 CSR (n, F), their features.
        """
        asked = self.all_gather(*arrays, np.diff(X.indptr), X.indices, X.data)
        count, width = len(arrays), X.shape[1]
        return self.all_to_all([list(answer(part[:count], stack_csr([part[count:]], width))) for part in asked])

    def fetch_same_rows(self, own: Table, rows: Longs, total: int) -> Table:
        """Return on each rank the same rows of a table of `total` rows, of which each rank holds its own (n, D)."""
        if self.collectives is None:
            return own[rows]  # type: ignore[index, no-any-return]
        share = self.share(total)
        there = (rows >= share.start) & (rows < share.stop)
        values: Any = own[np.where(there, rows - share.start, 0)] if share.stop > share.start else own[:0]  # type: ignore[index]
        if share.stop == share.start:
            values = _empty_like(own, len(rows))
        values[~there] = 0
        return self.all_reduce_sum(values)  # type: ignore[no-any-return]

    def fetch_rows(self, own: Array, rows: Longs, total: int) -> Array:
        """Return ascending `rows` of a table of `total` rows, other ones on each rank; each holds its own (n, D)."""
        if self.collectives is None:
            return own if len(rows) == len(own) else own[rows]
        cuts = np.searchsorted(rows, self.bounds(total)[1:-1])
        asked = self.collectives.all_to_all([[part] for part in np.split(rows, cuts)])
        first = self.share(total).start
        answers = self.collectives.all_to_all([[own[part[0] - first]] for part in asked])
        return np.concatenate([part[0] for part in answers])

    def gather_blocks(self, own: Array) -> Iterator[Array]:
        """Yield on rank 0 the rows of all ranks in order, block by block; the others send theirs and yield nothing."""
        if self.collectives is None:
            yield own
            return
        lengths = [int(part[0][0]) for part in self.collectives.all_gather([np.array([len(own)])])]
        row_bytes = max(own.dtype.itemsize * int(np.prod(own.shape[1:])), 1)
        step = max(_STREAM_BYTES // row_bytes, 1)
        if self.is_first:
            yield own
        for source in range(1, self.size):
            for start in range(0, lengths[source], step):
                stop = min(start + step, lengths[source])
                if self.is_first:
                    yield self.collectives.recv(own.dtype, (stop - start, *own.shape[1:]), source)
                elif self.rank == source:
                    self.collectives.send(np.ascontiguousarray(own[start:stop]), 0)


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
