"""Read sparse matrices from `.npz` files of anyone: nothing is used before it has been checked.

SciPy and the kernels believe the arrays that they are given: an index out of range crashes the process. Here the
structure of the archive, the header of each array, lengths, offsets and indices are checked first. Time and memory are
bounded by the size of the file, whatever it claims. Nothing is unpickled. `.npz` holds CSR, CSC or COO, as
`scipy.sparse.save_npz` writes them, stored or deflated.
"""

from __future__ import annotations

import errno
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array, first_not_finite

Stored: TypeAlias = sp.csr_matrix | sp.csc_matrix | sp.coo_matrix
Shape: TypeAlias = tuple[int, int]

_EXPECTED = "a CSR, CSC or COO matrix of real numbers, written by scipy.sparse.save_npz"
_FREE_BYTES, _EXPANSION = 64 << 20, 20  # what a file may hold when unpacked: so much, and so many times its size
_FREE_ROWS = 1 << 24  # rows without a byte of the file for each
_MOST = 2**31 - 1  # rows and columns are numbered by int32
_MOST_DIRECTORY, _MOST_HEADER = 1 << 16, 1 << 12  # bytes
_PIECE = 1 << 20
_TAIL, _END, _END_64 = 1 << 16, 22, 76  # bytes of a zip's end: with a comment, without one, of the record before it
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, IndexError, OverflowError,
            NotImplementedError, RuntimeError)  # fmt: skip
"""What `zipfile` raises for an archive that is damaged, encrypted or of another kind."""

_FIELDS = {
    "descr": re.compile(r"'descr':\s*'([<>|=]?[a-zA-Z][0-9]{1,3})'"),
    "shape": re.compile(r"'shape':\s*\(([0-9L, ]*)\)"),
}
_INTEGERS, _NUMBERS, _TEXT = "iu", "biuf", "SU"


class SparseFileError(ValueError):
    """A file holds no sparse matrix, or a bad one; the reader of the file knows its path.

    Attributes:
        message, where, expected, found: as for `xmlcli.errors.XmlcliError`.
    """

    def __init__(
        self, found: str, *, expected: str = _EXPECTED, where: str | None = None, message: str = "no sparse matrix"
    ) -> None:
        super().__init__(f"{f'{where}: ' if where else ''}{found}; expected {expected}")
        self.message, self.where, self.expected, self.found = message, where, expected, found


def most_bytes(size: int) -> int:
    """Return how many bytes a file of `size` bytes may hold when it is unpacked."""
    return _FREE_BYTES + _EXPANSION * size


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
        data = _real(members.read("data", _NUMBERS))
        names = ("row", "col") if form == "coo" else ("indices", "indptr")
        first, second = (members.read(name, _INTEGERS) for name in names)
    if form == "coo":
        return _coo(data, first, second, shape, size)
    lines = shape if form == "csr" else shape[::-1]
    noun = "row" if form == "csr" else "column"
    check_arrays(data, first, second, lines, noun)
    if form == "csc":
        _check_rows(shape[0], size)
    index = np.int32 if len(data) <= _MOST else np.int64
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


class Members:
    """The arrays of an open archive, of which the headers are read first; made by `open_members`."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive, self._left = archive, most_bytes(size)
        self._size = size
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            if info.filename in self._infos:
                raise SparseFileError(f"{info.filename!r} twice")
            self._infos[info.filename] = info

    def read(self, name: str, kinds: str, *, num_dims: int = 1) -> Array:
        """Return an array whose dtype is of one of `kinds`, in memory."""
        info = self._info(name)
        with self._archive.open(info) as handle:
            dtype, shape = _header(handle, name)
            _check_array(name, dtype, shape, kinds, num_dims, info.file_size - handle.tell())
            values = np.empty(shape, dtype)
            room, at = values.reshape(-1).view(np.uint8), 0
            while at < len(room):
                piece = np.frombuffer(handle.read(_PIECE), np.uint8)
                if not len(piece):
                    raise SparseFileError(f"{name} ends after {at:,} bytes", expected=f"{len(room):,}")
                room[at : at + len(piece)] = piece
                at += len(piece)
        return values

    def map(self, name: str, kinds: str) -> Array:
        """Return an array of one dimension that is read from the disk as it is used; it must not be compressed."""
        info = self._info(name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise SparseFileError(f"{name} is compressed", expected="an uncompressed .npz")
        with self._archive.open(info) as handle:
            dtype, shape = _header(handle, name)
            _check_array(name, dtype, shape, kinds, 1, info.file_size - handle.tell())
            header = handle.tell()
        file = self._archive.fp
        assert file is not None
        file.seek(info.header_offset)
        offset = info.header_offset + 30 + sum(struct.unpack("<26x2H", file.read(30))) + header
        if offset + shape[0] * dtype.itemsize > self._size:
            raise SparseFileError(f"{name} ends behind the file")
        return np.memmap(file, dtype, "r", offset, shape) if shape[0] else np.zeros(shape, dtype)

    def form(self, *known: str) -> str:
        """Return the matrix's form, one of those known."""
        value = self.read("format", _TEXT, num_dims=0)[()]
        form = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if form not in known:
            raise SparseFileError(f"format {form!r}")
        return form

    def shape(self) -> Shape:
        """Return the number of rows and columns."""
        values = self.read("shape", _INTEGERS)
        if len(values) != 2 or not all(0 <= int(number) <= _MOST for number in values):
            found = " by ".join(str(number) for number in values[:4].tolist())
            raise SparseFileError(f"shape {found}", expected=f"rows and columns, at most {_MOST:,} each")
        return int(values[0]), int(values[1])

    def _info(self, name: str) -> zipfile.ZipInfo:
        """Return what the archive says of an array, and take what it unpacks to from what the file may unpack to."""
        info = self._infos.get(f"{name}.npy")
        if info is None:
            raise SparseFileError(f"no {name}")
        if info.flag_bits & 1:
            raise SparseFileError(f"{name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SparseFileError(f"{name} is compressed by method {info.compress_type}")
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise SparseFileError(f"{name} of {info.file_size:,} bytes in {info.compress_size:,}")
        self._left -= info.file_size
        if self._left < 0:
            found = f"{name} of {info.file_size:,} bytes in a file of {self._size:,}"
            raise SparseFileError(found, expected=f"at most {most_bytes(self._size):,} bytes in all")
        return info


@contextmanager
def open_members(content: BinaryIO, size: int) -> Iterator[Members]:
    """Open an archive of arrays. In the block, too, what `zipfile` raises for a damaged one is a SparseFileError."""
    try:
        _check_directory(content)
        with zipfile.ZipFile(content) as archive:
            yield Members(archive, size)
    except SparseFileError:
        raise
    except _DAMAGED as error:
        raise SparseFileError(str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # to seek before the start of the file
            raise
        raise SparseFileError(str(error)) from error


def _check_directory(content: BinaryIO) -> None:
    """Raise where an archive lists more members than matrices have: each costs `zipfile` time and memory."""
    content.seek(0, 2)
    content.seek(max(0, content.tell() - _TAIL - _END_64 - _END))
    tail = content.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or end + _END > len(tail):
        raise SparseFileError("no zip archive")
    length = int.from_bytes(tail[end + 12 : end + 16], "little")
    if end >= _END_64 and tail[end - 20 : end - 16] == b"PK\6\7":
        length = int.from_bytes(tail[end - _END_64 + 40 : end - _END_64 + 48], "little")
    if length > _MOST_DIRECTORY:
        raise SparseFileError(f"a zip directory of {length:,} bytes")


def _header(handle: Any, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read the header of an `.npy` file: the dtype and the shape."""
    magic = handle.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise SparseFileError(f"{name} is no NumPy array of a known version")
    length = int.from_bytes(handle.read(2 if magic[6] == 1 else 4), "little")
    if length > _MOST_HEADER:
        raise SparseFileError(f"{name} with a header of {length:,} bytes")
    text = handle.read(length).decode("latin-1")
    fields: Mapping[str, str] = {key: m[1] for key, pattern in _FIELDS.items() if (m := pattern.search(text))}
    try:
        dtype = np.dtype(fields["descr"])
        shape = tuple(int(part.strip(" L")) for part in fields["shape"].split(",") if part.strip())
    except (KeyError, TypeError, ValueError):
        raise SparseFileError(f"{name} with the header {text.strip()[:80]!r}") from None
    return dtype, shape


def _check_array(
    name: str, dtype: np.dtype[Any], shape: tuple[int, ...], kinds: str, num_dims: int, num_bytes: int
) -> None:
    """Raise where an array is not of a kind, of as many dimensions, or not of as many bytes as follow its header."""
    if dtype.kind not in kinds or len(shape) != num_dims:
        raise SparseFileError(f"{name} of {dtype}, {len(shape)} dimensions")
    claimed = dtype.itemsize
    for length in shape:
        claimed *= length
    if claimed != num_bytes:
        found = f"{num_bytes:,} bytes" if num_bytes >= 0 else "fewer"
        raise SparseFileError(f"{name} of {found}", expected=f"{claimed:,} as its header says")
