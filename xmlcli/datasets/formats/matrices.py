"""Read matrices of datasets, documents and predictions from `.npz`, plain or compressed; faults name the file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import scipy.sparse as sp

from xmlcli.datasets.formats.streams import COMPRESSIONS, open_stream
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent
from xmlcli.storage import sparse_files
from xmlcli.storage.npz_archive import SparseFileError, most_bytes
from xmlcli.storage.sparse_files import Stored


def read_matrix(path: Path, progress: Progress = silent) -> sp.csr_matrix:
    """Read a matrix of features or labels, float32 CSR, sorted, repeated entries added, stored zeros kept.

    Raises:
        DatasetError: the file is no such matrix, or a row holds a value that is not finite.
    """
    size = path.stat().st_size
    progress(f"read {path.name}", 0, size)
    with _content(path, size) as content:
        matrix = sparse_files.read_csr(content, size, np.float32)
    progress(f"read {path.name}", size, size)
    return matrix


def read_entries(path: Path) -> Stored:
    """Read a matrix as it is stored: entries in any order, repeated ones apart, finite or not.

    Raises:
        DatasetError: the file is no such matrix.
    """
    size = path.stat().st_size
    with _content(path, size) as content:
        return sparse_files.read_stored(content, size)


@contextmanager
def _content(path: Path, size: int) -> Iterator[BinaryIO]:
    """Yield a file, unpacked if its name says that it is packed. Raises DatasetError for a SparseFileError."""
    try:
        with open_stream(path) as (stream, _):
            yield _unpacked(stream, size) if path.suffix.lower() in COMPRESSIONS else stream
    except SparseFileError as error:
        raise DatasetError(
            f"{path}: {error.message}", where=error.where, expected=error.expected, found=error.found
        ) from error


def _unpacked(stream: BinaryIO, size: int) -> BinaryIO:
    most = most_bytes(size)
    content = io.BytesIO(stream.read(most + 1))
    if content.seek(0, io.SEEK_END) > most:
        found = f"more from a file of {size:,} bytes"
        raise SparseFileError(found, expected=f"at most {most:,} bytes when unpacked")
    return content
