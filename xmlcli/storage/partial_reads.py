"""Read some rows of a file; the rest stays on the disk.

An uncompressed `.npz` is mapped into memory as it lies; `.npy` NumPy maps itself, and `.safetensors` has slices.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array

_BLOCK = 1 << 16
_LOCAL_HEADER = struct.Struct("<26x2H")  # of a zip member: the lengths of its name and of its extra field


def map_csr(path: Path) -> sp.csr_matrix:
    """Return the matrix of `files.save_csr` over arrays that are read as they are used; ValueError for other files."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
    with archive:
        data, indices, indptr = (_map_member(path, archive, name) for name in ("data", "indices", "indptr"))
        with archive.open("shape.npy") as handle:
            rows, columns = np.lib.format.read_array(handle)
    return sp.csr_matrix((data, indices, indptr), shape=(int(rows), int(columns)), copy=False)


def _map_member(path: Path, archive: zipfile.ZipFile, name: str) -> Array:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with path.open("rb") as handle:
        handle.seek(info.header_offset)
        start = info.header_offset + 30 + sum(_LOCAL_HEADER.unpack(handle.read(30)))
        handle.seek(start)
        np.lib.format.read_magic(handle)
        shape, _, dtype = np.lib.format.read_array_header_1_0(handle)
        offset = handle.tell()
    return np.memmap(path, dtype, "r", offset, shape) if shape[0] else np.zeros(shape, dtype)


def csr_rows(whole: sp.csr_matrix, rows: slice) -> sp.csr_matrix:
    """Return some rows of a mapped matrix, read into memory."""
    first, last = int(whole.indptr[rows.start]), int(whole.indptr[rows.stop])
    offsets = whole.indptr[rows.start : rows.stop + 1] - whole.indptr[rows.start]
    parts = (np.array(whole.data[first:last]), np.array(whole.indices[first:last]), np.array(offsets))
    return sp.csr_matrix(parts, shape=(rows.stop - rows.start, whole.shape[1]))


def csr_columns(whole: sp.csr_matrix, columns: slice) -> sp.csr_matrix:
    """Return some columns of a mapped matrix, read block by block, as CSR (N, columns)."""
    if columns == slice(0, whole.shape[1]):
        return csr_rows(whole, slice(0, whole.shape[0]))
    blocks = [
        csr_rows(whole, slice(at, min(at + _BLOCK, whole.shape[0])))[:, columns]
        for at in range(0, whole.shape[0], _BLOCK)
    ]
    return sp.vstack(blocks, format="csr") if blocks else whole[:, columns]


def load_tensor_rows(path: Path, rows: slice, is_split: Callable[[str], bool], framework: str = "pt") -> dict[str, Any]:
    """Read named tensors, of those that `is_split` names only some rows.

    They are torch tensors on the CPU, or arrays where `framework` is numpy.
    """
    from safetensors import safe_open

    with safe_open(path, framework=framework) as file:
        return {
            name: file.get_slice(name)[rows.start : rows.stop] if is_split(name) else file.get_tensor(name)
            for name in file.keys()  # noqa: SIM118
        }
