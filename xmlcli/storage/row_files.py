"""Write tables whose rows lie on several ranks, block by block, with the bytes that one process would write.

Rank 0 writes; from the others it gets their rows in turn, a block at a time, so that no rank ever holds them all. All
ranks call the same function; what it is given as path matters on rank 0 only.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.distributed.ranks import Ranks

if TYPE_CHECKING:
    import torch


_ORDER = ("I64", "F32")  # in which safetensors puts tensors: the widest first, then by name
_NAMES = {"int64": "I64", "float32": "F32"}


@contextmanager
def open_rows(
    path: Path, dtype: npt.DTypeLike, own_shape: tuple[int, ...], ranks: Ranks
) -> Iterator[Callable[[Array], None]]:
    """Yield a function that takes this rank's rows of an array, `own_shape` in all, and writes them as `.npy`.

    They come block by block. Rank 0 writes its own at once, and those that the others have kept when the block ends.
    Raises ValueError for another dtype, and where they are not as many as was said.
    """
    dtype, kept, done = np.dtype(dtype), [], 0
    shape = (int(ranks.sum_over_ranks(own_shape[0])), *own_shape[1:])
    with path.open("wb") if ranks.is_first else nullcontext() as handle:
        if handle is not None:
            _write_npy(handle, dtype, shape, [])

        def append(rows: Array) -> None:
            nonlocal done
            if rows.dtype != dtype:
                raise ValueError(f"{path.name}: expected {dtype}, found {rows.dtype}")
            done, block = done + len(rows), np.ascontiguousarray(rows)
            kept.append(block) if handle is None else handle.write(_buffer(block))

        yield append
        if done != own_shape[0]:
            raise ValueError(f"{path.name}: expected {own_shape[0]} rows, found {done}")
        rest = kept[0] if len(kept) == 1 else np.concatenate([np.empty((0, *shape[1:]), dtype), *kept])
        for block in ranks.gather_blocks(rest):
            assert handle is not None, "rank 0 alone gets blocks"
            handle.write(_buffer(block))


def save_rows(path: Path, own: Array, ranks: Ranks) -> tuple[int, ...]:
    """Write an array as `.npy` and return its shape; `own` are the rows of this rank."""
    with open_rows(path, own.dtype, own.shape, ranks) as append:
        append(own)
    return (int(ranks.sum_over_ranks(len(own))), *own.shape[1:])


def save_csr_rows(path: Path, own: sp.csr_matrix, ranks: Ranks) -> tuple[int, int]:
    """Write a CSR matrix as the `.npz` of `files.save_csr` and return its shape; `own` are the rows of this rank."""
    if not own.has_canonical_format:
        own = own.copy()
        own.sum_duplicates()
    counts = np.array([[own.shape[0], own.nnz]], np.int64)
    of_ranks = ranks.all_gather_rows(counts)
    rows, entries = (int(n) for n in of_ranks.sum(axis=0))
    before = int(of_ranks[: ranks.rank, 1].sum())
    shape = (rows, own.shape[1])
    index = np.dtype(np.int32 if max(entries, *shape) < 2**31 else np.int64)
    ends = (own.indptr[1:].astype(np.int64) + before).astype(index)
    offsets = np.append(np.zeros(1, index), ends) if ranks.is_first else ends
    members: list[tuple[str, np.dtype[Any], tuple[int, ...], Iterable[Array]]] = [
        ("indices", index, (entries,), ranks.gather_blocks(own.indices.astype(index, copy=False))),
        ("indptr", index, (rows + 1,), ranks.gather_blocks(offsets)),
        ("format", np.dtype("S3"), (), [np.array(b"csr")]),
        ("shape", np.dtype(np.int64), (2,), [np.array(shape, np.int64)]),
        ("data", own.data.dtype, (entries,), ranks.gather_blocks(own.data)),
    ]
    if not ranks.is_first:
        for _, _, _, blocks in members:
            _use_up(blocks)
        return shape
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, dtype, of_member, blocks in members:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as handle:
                _write_npy(handle, dtype, of_member, blocks)
    return shape


def save_tensor_rows(path: Path, tensors: Mapping[str, torch.Tensor], split: Set[str], ranks: Ranks) -> None:
    """Write named tensors as `.safetensors`; of those named in `split` each rank gives its rows, the others are alike.

    Tensors are float32 or int64.
    """
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
    names = sorted(arrays, key=lambda name: (_ORDER.index(_NAMES[str(arrays[name].dtype)]), name))
    heights = np.array([[len(arrays[name]) for name in names if name in split]], np.int64)
    totals = iter(ranks.all_gather_rows(heights).sum(axis=0).tolist())
    header, at = {}, 0
    for name in names:
        array = arrays[name]
        shape = [next(totals), *array.shape[1:]] if name in split else list(array.shape)
        size = int(np.prod(shape, dtype=np.int64)) * array.dtype.itemsize
        header[name] = {"dtype": _NAMES[str(array.dtype)], "shape": shape, "data_offsets": [at, at + size]}
        at += size
    parts = (ranks.gather_blocks(arrays[name]) if name in split else [arrays[name]] for name in names)
    blocks = (block for part in parts for block in part)
    if not ranks.is_first:
        _use_up(blocks)
        return
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as handle:
        handle.write(struct.pack("<Q", len(text)) + text)
        for block in blocks:
            handle.write(_buffer(block))


def _write_npy(handle: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], blocks: Iterable[Array]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(handle, header)
    for block in blocks:
        handle.write(_buffer(block))


def _buffer(block: Array) -> memoryview:
    """Return the bytes of a contiguous array."""
    return np.asarray(block).reshape(-1).view(np.uint8).data


def _use_up(blocks: Iterable[Array] | Iterator[Array]) -> None:
    """Let the blocks be sent."""
    for _ in blocks:
        pass
