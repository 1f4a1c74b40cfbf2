"""The collective operations by torch.distributed, over gloo for the CPU's memory and NCCL for the GPUs'.

Counts of bytes sent are what an algorithm must send: to each other rank its part, and 2 (R - 1) / R of a table for a
sum. Only a run's own processes speak to each other, and pickle is used between them alone, never for a file.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from xmlcli.arrays import Array
from xmlcli.errors import RanksError

Result = TypeVar("Result")

_OPERATIONS = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}
FOREVER = timedelta(days=365)  # a rank waits while another computes; `watchdog` notices when one has gone
_PATIENCE = 5.0  # seconds in which `watchdog` finds out which rank it was


class TorchCollectives:
    """See `ranks.Collectives`. Raises RanksError where another rank has gone."""

    def __init__(self) -> None:
        self.size = dist.get_world_size()
        self.rank = dist.get_rank()
        self.sent = 0

    def all_gather(self, parts: Sequence[Array]) -> list[list[Array]]:
        """See `Collectives.all_gather`."""
        own = torch.tensor([len(part) for part in parts])
        lengths = torch.empty(self.size, len(parts), dtype=torch.int64)
        _carried(lambda: dist.all_gather(list(lengths), own))
        sizes = [[_bytes(part, n) for part, n in zip(parts, row, strict=True)] for row in lengths.tolist()]
        most = max(max(map(sum, sizes)), 1)
        buffer = torch.zeros(most, dtype=torch.uint8)
        _pack(parts, buffer.numpy())
        found = torch.empty(self.size, most, dtype=torch.uint8)
        _carried(lambda: dist.all_gather(list(found), buffer))
        self.sent += (self.size - 1) * (own.numel() * 8 + most)
        return [_unpack(row.numpy(), parts, n) for row, n in zip(found, lengths.tolist(), strict=True)]

    def all_to_all(self, parts: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """See `Collectives.all_to_all`."""
        own = torch.tensor([[len(part) for part in to] for to in parts])
        lengths = torch.empty_like(own)
        _carried(lambda: dist.all_to_all_single(lengths, own))
        going = [sum(part.nbytes for part in to) for to in parts]
        coming = [sum(_bytes(p, n) for p, n in zip(parts[0], row, strict=True)) for row in lengths.tolist()]
        buffer, found = torch.empty(sum(going), dtype=torch.uint8), torch.empty(sum(coming), dtype=torch.uint8)
        _pack([part for to in parts for part in to], buffer.numpy())
        _carried(lambda: dist.all_to_all_single(found, buffer, coming, going))
        self.sent += sum(going) - going[self.rank] + (self.size - 1) * own.shape[1] * 8
        rows = np.split(found.numpy(), np.cumsum(coming)[:-1])
        return [_unpack(row, parts[0], n) for row, n in zip(rows, lengths.tolist(), strict=True)]

    def all_reduce(self, table: Any, operation: str) -> Any:
        """See `Collectives.all_reduce`; a tensor is overwritten."""
        tensor = torch.from_numpy(np.array(table)) if isinstance(table, np.ndarray) else table
        _carried(lambda: dist.all_reduce(tensor, _OPERATIONS[operation]))
        self.sent += 2 * tensor.numel() * tensor.element_size() * (self.size - 1) // self.size
        return tensor.numpy() if isinstance(table, np.ndarray) else tensor

    def broadcast(self, value: Any) -> Any:
        """See `Collectives.broadcast`."""
        data = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        length = torch.tensor([len(data)])
        _carried(lambda: dist.broadcast(length, src=0))
        if self.rank:
            data = torch.empty(int(length), dtype=torch.uint8)
        _carried(lambda: dist.broadcast(data, src=0))
        self.sent += 0 if self.rank else (self.size - 1) * (8 + len(data))
        return pickle.loads(data.numpy().tobytes())

    def send(self, block: Array, to: int) -> None:
        """See `Collectives.send`."""
        _carried(lambda: dist.send(torch.from_numpy(block.reshape(-1).view(np.uint8)), to))
        self.sent += block.nbytes

    def recv(self, dtype: np.dtype[Any], shape: tuple[int, ...], source: int) -> Array:
        """See `Collectives.recv`."""
        block = np.empty(shape, dtype)
        _carried(lambda: dist.recv(torch.from_numpy(block.reshape(-1).view(np.uint8)), source))
        return block


def _carried(transfer: Callable[[], Result]) -> Result:
    """Return what the transfer returns; where it fails, leave it to the watch to name the rank that has gone."""
    try:
        return transfer()
    except RuntimeError as error:
        time.sleep(_PATIENCE)
        raise RanksError("the connection between the ranks broke", found=str(error).splitlines()[0]) from error


def _bytes(part: Array, rows: int) -> int:
    """Bytes of an array like `part` with so many rows."""
    return part.dtype.itemsize * int(np.prod(part.shape[1:], dtype=np.int64)) * rows


def _pack(parts: Sequence[Array], buffer: npt.NDArray[np.uint8]) -> None:
    """Write arrays one after the other."""
    at = 0
    for part in parts:
        buffer[at : at + part.nbytes] = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        at += part.nbytes


def _unpack(buffer: npt.NDArray[np.uint8], like: Sequence[Array], lengths: Sequence[int]) -> list[Array]:
    """Return the arrays that `_pack` wrote, of the dtypes and widths of `like`."""
    found, at = [], 0
    for part, rows in zip(like, lengths, strict=True):
        size = _bytes(part, rows)
        values = buffer[at : at + size].copy().view(part.dtype)
        found.append(values.reshape(rows, *part.shape[1:]))
        at += size
    return found
