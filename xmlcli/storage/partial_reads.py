"""Read some rows of a file; the rest stays on the disk.

An uncompressed `.npz` is mapped into memory as it lies; `.npy` NumPy maps itself, and `.safetensors` has slices.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.storage.npz_archive import open_members
from xmlcli.storage.sparse_files import check_arrays

_BLOCK = 1 << 16
_ARRAYS = {"data": "biuf", "indices": "i", "indptr": "i"}


def map_csr(path: Path) -> sp.csr_matrix:
    """Return the matrix of `files.save_csr` over arrays that are read as they are used.

    Offsets and indices are checked, in one pass over the file; the values stay as they are, finite or not. Raises
    SparseFileError for other files.
    """
    with path.open("rb") as content, open_members(content, path.stat().st_size) as members:
        members.form("csr")
        shape = members.shape()
        data, indices, indptr = (members.map(name, kinds) for name, kinds in _ARRAYS.items())
    check_arrays(data, indices, indptr, shape)
    return sp.csr_matrix((data, indices, indptr), shape=shape, copy=False)


def csr_rows(whole: sp.csr_matrix, rows: slice) -> sp.csr_matrix:
    """Return some rows of a mapped matrix, read into memory."""
    first, last = int(whole.indptr[rows.start]), int(whole.indptr[rows.stop])
    offsets = whole.indptr[rows.start : rows.stop + 1] - whole.indptr[rows.start]
    parts = (np.array(whole.data[first:last]), np.array(whole.indices[first:last]), np.array(offsets))
    return sp.csr_matrix(parts, shape=(rows.stop - rows.start, whole.shape[1]))


def first_rows(whole: sp.csr_matrix, count: int) -> sp.csr_matrix:
    """Return the first rows of a matrix, over the same arrays."""
    last = int(whole.indptr[count])
    parts = (whole.data[:last], whole.indices[:last], whole.indptr[: count + 1])
    return sp.csr_matrix(parts, shape=(count, whole.shape[1]), copy=False)


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
