"""Read sparse matrices from `.npz` files of anyone: nothing is used before it has been checked.

SciPy and the kernels believe the arrays that they are given: an index out of range crashes the process. Here the
structure of the archive, the header of each array, lengths, offsets and indices are checked first. Time and memory are
bounded by the size of the file, whatever it claims. Nothing is unpickled. `.npz` holds CSR, CSC or COO, as
`scipy.sparse.save_npz` writes them, stored or deflated.
"""

from __future__ import annotations

from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array, first_not_finite
from xmlcli.storage.npz_archive import INTEGERS, MOST, NUMBERS, Shape, SparseFileError, open_members

Stored: TypeAlias = sp.csr_matrix | sp.csc_matrix | sp.coo_matrix

_FREE_ROWS = 1 << 24  # rows without a byte of the file for each


def read_stored(content: BinaryIO, size: int) -> Stored:
    """Return the matrix as it is stored: unsorted, with repeated entries, and perhaps with values that are not finite.

    Args:
        content: can be sought.
        size: bytes of the file, which bound what is unpacked and how many rows there are without data.

    Raises:
        SparseFileError: a fault of the archive or the arrays.
    """
    with open_members(content, size) as members:
        form, shape = members.form("csr", "csc", "coo"), members.shape()
        data = _real(members.read("data", NUMBERS))
        names = ("row", "col") if form == "coo" else ("indices", "indptr")
        first, second = (members.read(name, INTEGERS) for name in names)
    if form == "coo":
        return _coo(data, first, second, shape, size)
    lines = shape if form == "csr" else shape[::-1]
    noun = "row" if form == "csr" else "column"
    check_arrays(data, first, second, lines, noun)
    if form == "csc":
        _check_rows(shape[0], size)
    index = np.int32 if len(data) <= MOST else np.int64
    parts = (data, first.astype(index, copy=False), second.astype(index, copy=False))
    return (sp.csr_matrix if form == "csr" else sp.csc_matrix)(parts, shape=shape)


def read_csr(content: BinaryIO, size: int, dtype: npt.DTypeLike | None = None) -> sp.csr_matrix:
    """Return a matrix as CSR, sorted, repeated entries added, stored zeros kept, all values finite.

    Args:
        content, size: as for `read_stored`.
        dtype: of the values; by default as they are stored.

    Raises:
        SparseFileError: as for `read_stored`; a value that is not finite, or is not when it has the dtype.
    """
    stored = read_stored(content, size)
    with np.errstate(over="ignore"):  # what overflows is infinite, and told below
        matrix = stored.astype(dtype or stored.dtype, copy=False).tocsr()
        matrix.sum_duplicates()
    check_finite(matrix)
    return matrix


def check_finite(matrix: sp.csr_matrix) -> None:
    """Raise SparseFileError with the first row that holds NaN or infinity."""
    at = first_not_finite(matrix.data)
    if at is None:
        return
    row = int(np.searchsorted(matrix.indptr, at, side="right"))
    message, found = "a value is not finite", f"{matrix.data[at]} in column {matrix.indices[at]}"
    raise SparseFileError(found, expected="finite numbers of 32 bits", where=f"row {row}", message=message)


def check_arrays(data: Array, indices: Array, indptr: Array, shape: Shape, noun: str = "row") -> None:
    """Raise SparseFileError where arrays are no CSR matrix of a shape; `noun` is what `indptr` counts."""
    lines, width = shape
    if len(indptr) != lines + 1:
        raise SparseFileError(f"indptr of length {len(indptr):,}", expected=f"{lines + 1:,} for {lines:,} {noun}s")
    if len(data) != len(indices):
        raise SparseFileError(f"{len(data):,} values", expected=f"{len(indices):,}, one for each index")
    ends = int(indptr[0]), int(indptr[-1])
    if ends != (0, len(indices)):
        raise SparseFileError(f"indptr from {ends[0]} to {ends[1]}", expected=f"from 0 to {len(indices)}")
    falls = indptr[1:] < indptr[:-1]
    if falls.any():
        at = int(np.argmax(falls))
        found = f"{indptr[at + 1]} after {indptr[at]}"
        raise SparseFileError(found, expected="indptr that never falls", where=f"{noun} {at + 1}")
    wrong = _first_outside(indices, width)
    if wrong is not None:
        line = int(np.searchsorted(indptr, wrong, side="right"))
        expected = f"an index of 0 or more, below {width:,}"
        raise SparseFileError(f"index {indices[wrong]}", expected=expected, where=f"{noun} {line}")


def _coo(data: Array, rows: Array, columns: Array, shape: Shape, size: int) -> sp.coo_matrix:
    _check_rows(shape[0], size)
    for name, ids, limit in (("row", rows, shape[0]), ("column", columns, shape[1])):
        if len(ids) != len(data):
            raise SparseFileError(f"{len(ids):,} {name} numbers", expected=f"{len(data):,}, one for each value")
        at = _first_outside(ids, limit)
        if at is not None:
            expected = f"0 or more, below {limit:,}"
            raise SparseFileError(f"{name} {ids[at]}", expected=expected, where=f"entry {at + 1}")
    places = (rows.astype(np.int32, copy=False), columns.astype(np.int32, copy=False))
    return sp.coo_matrix((data, places), shape=shape)


def _first_outside(ids: Array, limit: int) -> int | None:
    """Return where the first id stands that is below 0, or not below `limit`."""
    if not len(ids) or (int(ids.min()) >= 0 and int(ids.max()) < limit):
        return None
    return int(np.argmax((ids < 0) | (ids >= limit)))


def _check_rows(num_rows: int, size: int) -> None:
    """Raise where a form that lists no rows claims more than a file of that size can mean."""
    most = _FREE_ROWS + size
    if num_rows > most:
        raise SparseFileError(f"{num_rows:,} rows", expected=f"at most {most:,} in a file of {size:,} bytes")


def _real(values: Array) -> Array:
    """Return numbers in this machine's order of bytes, as a type that SciPy knows."""
    sizes = {2: np.float32, 16: np.float64}
    dtype = sizes.get(values.dtype.itemsize, values.dtype) if values.dtype.kind == "f" else values.dtype
    with np.errstate(over="ignore"):
        return values.astype(np.dtype(dtype).newbyteorder("="), copy=False)
