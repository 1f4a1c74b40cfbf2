"""Read and write single files, in the forms that artifacts are made of, with stable bytes.

The same content gives the same bytes at any time on any machine: archives carry a fixed date, JSON has sorted
keys, CSR matrices are brought to their canonical form. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.storage.atomic import atomic_file

if TYPE_CHECKING:
    import torch

Json = Any
"""What `json.loads` returns; the reader of a file knows its structure."""


def json_bytes(value: Json) -> bytes:
    """Return JSON with sorted keys, each key of the outermost object on a line of its own.

    NaN and infinity are refused with ValueError.
    """
    if isinstance(value, Mapping) and value:
        return ("{\n" + ",\n".join(f"  {_dump(k)}: {_dump(value[k])}" for k in sorted(value)) + "\n}\n").encode()
    return (_dump(value) + "\n").encode()


def _dump(value: Json) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def sha256_file(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def save_csr(path: Path | BinaryIO, matrix: sp.csr_matrix | sp.csr_array) -> None:
    """Write an uncompressed `.npz` that `scipy.sparse.load_npz` reads; the matrix itself is left as it is."""
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    index = np.int32 if max(matrix.nnz, *matrix.shape) < 2**31 else np.int64
    plain = sp.csr_matrix(
        (matrix.data, matrix.indices.astype(index, copy=False), matrix.indptr.astype(index, copy=False)),
        shape=matrix.shape,
    )
    sp.save_npz(path, plain, compressed=False)


def load_csr(path: Path) -> sp.csr_matrix:
    """Read what `save_csr` wrote; ValueError where the file is no such archive."""
    return sp.csr_matrix(sp.load_npz(path))


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write named tensors, from any device."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def load_tensors(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """Read the tensors whose names begin with `prefix` into memory on the CPU."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    if not prefix:
        return load_file(path)
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118


def load_arrays(path: Path) -> dict[str, Array]:
    """Read named tensors as arrays, without torch."""
    from safetensors.numpy import load_file

    arrays: dict[str, Array] = load_file(path)
    return arrays


def tensor_shapes(path: Path) -> dict[str, str]:
    """Return name → "dtype shape" of a safetensors file, read from its header alone."""
    with path.open("rb") as handle:
        (length,) = struct.unpack("<Q", handle.read(8))
        header = json.loads(handle.read(length))
    return {
        name: f"{entry['dtype']} {entry['shape']}" for name, entry in sorted(header.items()) if name != "__metadata__"
    }


def write_json(path: Path, value: Json) -> None:
    """Replace a JSON file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(json_bytes(value))


def read_json(path: Path) -> Json:
    """Return the content of a JSON file, None where it is absent or was damaged."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
