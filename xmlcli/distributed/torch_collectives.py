"""`Collectives` by torch.distributed: gloo for tensors on the CPU, NCCL for those on GPUs.

`sent` counts the bytes that an algorithm must send: to each other rank its part, and 2 (R - 1) / R of a table for an
all-reduce. Pickle is used between the processes of one run, never for a file.
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
FOREVER = timedelta(days=365)  # a rank waits while another computes; `watchdog` notices when one has ended
_SETTLE_SECONDS = 5.0  # in which `watchdog` finds out which rank it was


class TorchCollectives:
    """See `ranks.Collectives`. Raises RanksError if another rank has ended."""

    def __init__(self) -> None:
        self.size = dist.get_world_size()
        self.rank = dist.get_rank()
        self.sent = 0

    def all_gather(self, parts: Sequence[Array]) -> list[list[Array]]:
        """See `Collectives.all_gather`."""
        own = torch.tensor([len(part) for part in parts])
        lengths = torch.empty(self.size, len(parts), dtype=torch.int64)
        _guarded(lambda: dist.all_gather(list(lengths), own))
        sizes = [[_bytes(part, n) for part, n in zip(parts, row, strict=True)] for row in lengths.tolist()]
        most = max(max(map(sum, sizes)), 1)
        buffer = torch.zeros(most, dtype=torch.uint8)
        _pack(parts, buffer.numpy())
        received = torch.empty(self.size, most, dtype=torch.uint8)
        _guarded(lambda: dist.all_gather(list(received), buffer))
        self.sent += (self.size - 1) * (own.numel() * 8 + most)
        return [_unpack(row.numpy(), parts, n) for row, n in zip(received, lengths.tolist(), strict=True)]

    def all_to_all(self, parts: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """See `Collectives.all_to_all`."""
        own = torch.tensor([[len(part) for part in to] for to in parts])
        lengths = torch.empty_like(own)
        _guarded(lambda: dist.all_to_all_single(lengths, own))
        going = [sum(part.nbytes for part in to) for to in parts]
        coming = [sum(_bytes(p, n) for p, n in zip(parts[0], row, strict=True)) for row in lengths.tolist()]
        buffer, received = torch.empty(sum(going), dtype=torch.uint8), torch.empty(sum(coming), dtype=torch.uint8)
        _pack([part for to in parts for part in to], buffer.numpy())
        _guarded(lambda: dist.all_to_all_single(received, buffer, coming, going))
        self.sent += sum(going) - going[self.rank] + (self.size - 1) * own.shape[1] * 8
        rows = np.split(received.numpy(), np.cumsum(coming)[:-1])
        return [_unpack(row, parts[0], n) for row, n in zip(rows, lengths.tolist(), strict=True)]

    def all_reduce(self, table: Any, operation: str) -> Any:
        """See `Collectives.all_reduce`; a tensor is overwritten."""
        tensor = torch.from_numpy(np.array(table)) if isinstance(table, np.ndarray) else table
        _guarded(lambda: dist.all_reduce(tensor, _OPERATIONS[operation]))
        self.sent += 2 * tensor.numel() * tensor.element_size() * (self.size - 1) // self.size
        return tensor.numpy() if isinstance(table, np.ndarray) else tensor

    def broadcast(self, value: Any) -> Any:
        """See `Collectives.broadcast`."""
        data = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        length = torch.tensor([len(data)])
        _guarded(lambda: dist.broadcast(length, src=0))
        if self.rank:
            data = torch.empty(int(length), dtype=torch.uint8)
        _guarded(lambda: dist.broadcast(data, src=0))
        self.sent += 0 if self.rank else (self.size - 1) * (8 + len(data))
        return pickle.loads(data.numpy().tobytes())

    def send(self, block: Array, to: int) -> None:
        """See `Collectives.send`."""
        _guarded(lambda: dist.send(torch.from_numpy(block.reshape(-1).view(np.uint8)), to))
        self.sent += block.nbytes

    def recv(self, dtype: np.dtype[Any], shape: tuple[int, ...], source: int) -> Array:
        """See `Collectives.recv`."""
        block = np.empty(shape, dtype)
        _guarded(lambda: dist.recv(torch.from_numpy(block.reshape(-1).view(np.uint8)), source))
        return block


def _guarded(transfer: Callable[[], Result]) -> Result:
    """Return what the transfer returns. If it fails, give the watchdog time to name the rank that has ended."""
    try:
        return transfer()
    except RuntimeError as error:
        time.sleep(_SETTLE_SECONDS)
        raise RanksError("the connection between the ranks broke", found=str(error).splitlines()[0]) from error


def _bytes(part: Array, rows: int) -> int:
    """Return the bytes of an array like `part` with so many rows."""
    return part.dtype.itemsize * int(np.prod(part.shape[1:], dtype=np.int64)) * rows


def _pack(parts: Sequence[Array], buffer: npt.NDArray[np.uint8]) -> None:
    """Write arrays into the buffer, one after the other."""
    at = 0
    for part in parts:
        buffer[at : at + part.nbytes] = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        at += part.nbytes


def _unpack(buffer: npt.NDArray[np.uint8], like: Sequence[Array], lengths: Sequence[int]) -> list[Array]:
    """Return the arrays that `_pack` wrote, of the dtypes and widths of `like`."""
    arrays, at = [], 0
    for part, rows in zip(like, lengths, strict=True):
        size = _bytes(part, rows)
        values = buffer[at : at + size].copy().view(part.dtype)
        arrays.append(values.reshape(rows, *part.shape[1:]))
        at += size
    return arrays
