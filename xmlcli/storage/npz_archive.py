"""The arrays in an `.npz` archive of anyone, read within bounds that follow from the size of the file.

The zip directory, the header of each array and what the members unpack to are checked first. Nothing is unpickled.
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

from xmlcli.arrays import Array

Shape: TypeAlias = tuple[int, int]

INTEGERS, NUMBERS, TEXT = "iu", "biuf", "SU"
"""Kinds of dtypes, as NumPy names them."""
MOST = 2**31 - 1  # rows and columns are numbered by int32
_EXPECTED = "a CSR, CSC or COO matrix of real numbers, written by scipy.sparse.save_npz"
_FREE_BYTES, _EXPANSION = 64 << 20, 20  # what a file may hold when unpacked: so much, and so many times its size
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
        value = self.read("format", TEXT, num_dims=0)[()]
        form = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if form not in known:
            raise SparseFileError(f"format {form!r}")
        return form

    def shape(self) -> Shape:
        """Return the number of rows and columns."""
        values = self.read("shape", INTEGERS)
        if len(values) != 2 or not all(0 <= int(number) <= MOST for number in values):
            found = " by ".join(str(number) for number in values[:4].tolist())
            raise SparseFileError(f"shape {found}", expected=f"rows and columns, at most {MOST:,} each")
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
