"""Read a tar file once from front to end, and never more of it than a bound, whatever its headers say.

Python's own reader takes a header of any size into memory, follows chains of headers by recursion, and ends without a
word at a header that is damaged. Here a header is small or refused. Known are the headers of POSIX and of GNU that give
a longer name or size; sparse files are refused.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

MOST_HEADER_BYTES = 1 << 16
_RECORD = 512
_BLOCK = 1 << 20
_LARGEST_SIZE_DIGITS = 18
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_PAX, _PAX_OF_ALL = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE), tarfile.XGLTYPE
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


class TarMember(NamedTuple):
    """A member: `kind` is file, folder or other; a file's content is to be read before the next member is asked for."""

    name: str
    kind: str
    content: Content


class TooLargeError(Exception):
    """The tar file holds more than its bound."""


@contextmanager
def open_tar(path: Path, most: int) -> Iterator[TarStream]:
    """Open a tar file, plain or compressed, of which at most `most` bytes are read, counted after decompression."""
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        opener = next((opener for magic, opener in _OPENERS if start.startswith(magic)), None)
        if opener is None:
            yield TarStream(file, most)
            return
        with opener(file) as content:
            yield TarStream(cast(IO[bytes], content), most)


def is_tar(path: Path) -> bool:
    """Whether a file, plain or compressed, begins with a header of tar."""
    with open_tar(path, _RECORD) as stream:
        record = stream.read(_RECORD)
    try:
        return _is_end(record) or bool(_header(record))
    except tarfile.HeaderError:
        return False


class Content:
    """The content of one member."""

    def __init__(self, stream: TarStream, size: int) -> None:
        self._stream, self._rest, self._padding = stream, size, -size % _RECORD

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end."""
        block = self._stream.exactly(min(size, self._rest))
        self._rest -= len(block)
        return block

    def skip(self) -> None:
        """Pass over what has not been read."""
        while self.read(_BLOCK):
            pass
        self._stream.exactly(self._padding)
        self._padding = 0


class TarStream:
    """The bytes of a tar file from front to end; TooLargeError when they are more than the bound."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, fewer only at the end."""
        parts: list[bytes] = []
        while size and (part := self._file.read(size)):
            parts.append(part)
            size -= len(part)
            self._left -= len(part)
            if self._left < 0:
                raise TooLargeError
        return b"".join(parts)

    def exactly(self, size: int) -> bytes:
        """Return so many bytes; EOFError where the file ends before."""
        block = self.read(size)
        if len(block) < size:
            raise EOFError("it ends within a member")
        return block

    def members(self) -> Iterator[TarMember]:
        """Yield the members; tarfile.TarError where a header is damaged, EOFError where the file is cut."""
        name, size = None, None
        while record := self.read(_RECORD):
            if _is_end(record):
                return
            info = _header(record)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                name = _text(self._more(info).split(b"\0")[0])
            elif info.type in _PAX:
                name, size = _from_pax(self._more(info), name, size)
            elif info.type in (tarfile.GNUTYPE_LONGLINK, _PAX_OF_ALL):
                self._more(info)
            else:
                member = _member(self, info, info.name if name is None else name, info.size if size is None else size)
                name, size = None, None
                yield member
                member.content.skip()

    def _more(self, info: tarfile.TarInfo) -> bytes:
        """Return the content of a header that says more of the next member, or of all."""
        if not 0 <= info.size <= MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {info.size:,} bytes, more than {MOST_HEADER_BYTES:,}")
        content = Content(self, info.size)
        header = content.read(MOST_HEADER_BYTES)
        content.skip()
        return header


def _is_end(record: bytes) -> bool:
    return len(record) == _RECORD and not any(record)


def _header(record: bytes) -> tarfile.TarInfo:
    return tarfile.TarInfo.frombuf(record, "utf-8", "surrogateescape")


def _member(stream: TarStream, info: tarfile.TarInfo, name: str, size: int) -> TarMember:
    if size < 0:
        raise tarfile.ReadError(f"a member of {size:,} bytes")
    kind = "file" if info.type in _FILES else "folder" if info.type == tarfile.DIRTYPE else "other"
    return TarMember(name, kind, Content(stream, size if kind == "file" else 0))


def _from_pax(header: bytes, name: str | None, size: int | None) -> tuple[str | None, int | None]:
    """Return the name and size in a header of records `length key=value`, otherwise those given."""
    at = 0
    while at < len(header):
        digits, space, _ = header[at : at + 8].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        key, equals, value = header[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not equals or header[at + length - 1 : at + length] != b"\n":
            raise tarfile.ReadError("a header that is not as POSIX describes it")
        if key.startswith(b"GNU.sparse."):
            raise tarfile.ReadError("a sparse file")
        if key == b"path":
            name = _text(value)
        if key == b"size":
            if not value.isdigit() or len(value) > _LARGEST_SIZE_DIGITS:
                raise tarfile.ReadError("a size that is no number of bytes")
            size = int(value)
        at += length
    return name, size


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
