"""Read and write single files, in the forms that artifacts are made of, with stable bytes.

The same content gives the same bytes at any time on any machine: archives carry a fixed date, JSON has sorted
keys, CSR matrices are brought to their canonical form. Nothing is pickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.storage.atomic import atomic_file
from xmlcli.storage.sparse_files import read_csr

if TYPE_CHECKING:
    import torch

Json = Any
"""What `json.loads` returns; the reader of a file knows its structure."""

MOST_JSON_BYTES = 1 << 24
"""Records, manifests and settings are smaller by far."""
_MOST_DEPTH = 50
_SEAL = "sha256"

_log = logging.getLogger("xmlcli")


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
    """Read what `save_csr` wrote; SparseFileError where the file is no matrix, or holds a value that is not finite."""
    with path.open("rb") as content:
        return read_csr(content, path.stat().st_size)


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write named tensors, from any device, and texts beside them."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path, metadata)


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


def sealed(content: Mapping[str, Json]) -> dict[str, Json]:
    """Return an object with the sha256 of all else in it, for a record of which a single wrong digit would matter."""
    said = {key: value for key, value in content.items() if key != _SEAL}
    return {**said, _SEAL: hashlib.sha256(json_bytes(said)).hexdigest()}


def read_json(path: Path) -> dict[str, Json] | None:
    """Return the object in a small JSON file; None where it is absent, or damaged, which is logged.

    Records and settings are read with it: what it cannot use counts as never written. PermissionError is raised.
    """
    try:
        value = parse_json(read_bounded(path))
        if isinstance(value, dict):
            return value
        problem = "no object"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        problem = str(error)
    _log.warning("%s is damaged (%s) and is not used", path, problem)
    return None


def read_bounded(path: Path, most: int = MOST_JSON_BYTES) -> bytes:
    """Return the bytes of a file; ValueError where it holds more than `most`, or is a folder, a pipe or a loop."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("it is a link to itself") from None
        raise
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no file")
    if status.st_size > most:
        raise ValueError(f"it has {status.st_size:,} bytes, where at most {most:,} are expected")
    return path.read_bytes()


def holds(path: Path, content: bytes) -> bool:
    """Whether a file has exactly this content; what cannot be read, or is a folder or a pipe, has not."""
    try:
        return read_bounded(path, len(content)) == content
    except (OSError, ValueError):
        return False


def parse_json(raw: bytes) -> Json:
    """Parse JSON of any origin; ValueError where it is none, is nested too deeply, or holds NaN or infinity."""
    try:
        value = json.loads(raw, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if raw.count(b"[") + raw.count(b"{") > _MOST_DEPTH and _is_deeper(value, _MOST_DEPTH):
        raise ValueError("it is nested too deeply")
    return value


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def _is_deeper(value: Json, most: int) -> bool:
    """Whether a value is nested deeper than `most`; level by level, so that depth costs no stack."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
