"""Unpack an archive that nobody vouches for. Only plain files and folders appear, and only inside the target folder.

Refused are absolute paths, `..`, members without a name, links, devices, sparse files, two members of one name,
encryption, more than `MOST_MEMBERS` members, and more content than a bound. Content is counted as it comes, whatever
the archive says of itself; of a tar file everything counts that is decompressed, headers and skipped members too.
"""

from __future__ import annotations

import errno
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from xmlcli.datasets.formats.streams import size_bound
from xmlcli.datasets.published.tar_stream import TooLargeError, is_tar, open_tar
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

MOST_MEMBERS = 10_000
LEAST_BOUND = 256 << 20
MOST_DIRECTORY_BYTES = 8 << 20
_BLOCK = 1 << 20
_SHOWN_NAME = 80
_MAC_EXTRAS = "__MACOSX"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error,
    EOFError, NotImplementedError, OSError, ValueError, OverflowError,
)  # fmt: skip


class _Content(Protocol):
    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


Member = tuple[str, bool, _Content | None]


def unpack(archive: Path, folder: Path, *, bound: int | None = None, progress: Progress = silent) -> None:
    """Unpack a zip or tar file (plain, gzip, bzip2, xz) into a new folder.

    Args:
        archive: the file.
        folder: where to; it must not exist. What was unpacked stays there when an error is raised.
        bound: most bytes of content; by default `size_bound`.
        progress: told bytes unpacked, and the bound.

    Raises:
        DatasetError: it is no archive, damaged, or has a member of a kind that is refused.
    """
    most = size_bound(archive, LEAST_BOUND) if bound is None else bound
    folder.mkdir(parents=True)
    try:
        _unpack(archive, folder, most, progress)
    except TooLargeError:
        raise _refused(archive, f"more than {most:,} bytes of content", None) from None
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise
        found = str(error) if not isinstance(error, OSError) or error.errno is None else str(error.strerror)
        raise DatasetError(f"{archive.name}: damaged archive", found=found or type(error).__name__) from error


def _unpack(archive: Path, folder: Path, most: int, progress: Progress) -> None:
    written, seen = 0, set[str]()
    for count, (name, is_folder, content) in enumerate(_members(archive, most), start=1):
        parts = _safe_parts(archive, name)
        if count > MOST_MEMBERS:
            raise _refused(archive, f"more than {MOST_MEMBERS:,} members", name)
        if not parts and not is_folder:
            raise _refused(archive, "a member without a name", name)
        if not parts or parts[0] == _MAC_EXTRAS:
            continue
        target = folder.joinpath(*parts)
        if is_folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        key = "/".join(parts).lower()
        if key in seen:
            raise _refused(archive, "two members of one name", name)
        seen.add(key)
        assert content is not None
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while block := content.read(_BLOCK):
                written += len(block)
                if written > most:
                    raise _refused(archive, f"more than {most:,} bytes of content", name)
                file.write(block)
                progress(f"unpack {name[:_SHOWN_NAME]}", written, most)


def _members(archive: Path, most: int) -> Iterator[Member]:
    """Yield the name of each member, whether it is a folder, and its content."""
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive)
    elif is_tar(archive):
        yield from _tar_members(archive, most)
    else:
        with archive.open("rb") as file:
            start = file.read(200).lstrip()
        if start.startswith(b"PK"):
            found = "a zip file that is damaged or cut short"
        else:
            found = "a web page" if start[:1] == b"<" else repr(start[:24]) if start else "an empty file"
        raise DatasetError(f"{archive.name}: no archive", expected="a zip or tar file", found=found)


class _SmallReads(io.FileIO):
    """A file of which the zip reader, which takes a directory whole, may not take much at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes, more than {MOST_DIRECTORY_BYTES:,}")
        return super().read(-1 if size is None else size)


def _zip_members(archive: Path) -> Iterator[Member]:
    with _SmallReads(archive) as raw, zipfile.ZipFile(raw) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, "a link or device", info.filename)
            if info.flag_bits & 1:
                raise _refused(archive, "an encrypted member", info.filename)
            if not info.filename:
                raise _refused(archive, "a member without a name", info.filename)
            if info.is_dir():
                yield info.filename, True, None
            else:
                with file.open(info) as content:
                    yield info.filename, False, content


def _tar_members(archive: Path, most: int) -> Iterator[Member]:
    with open_tar(archive, most) as stream:
        for name, kind, content in stream.members():
            if kind == "other":
                raise _refused(archive, "a link or device", name)
            yield name, kind == "folder", content


def _safe_parts(archive: Path, name: str) -> tuple[str, ...]:
    """Return the parts of a member's path below the folder.

    Raises:
        DatasetError: it points elsewhere.
    """
    path = PurePosixPath(name)
    parts = tuple(part for part in path.parts if part != ".")
    if path.is_absolute() or ".." in parts or "\\" in name or "\0" in name or ":" in "".join(parts[:1]):
        raise _refused(archive, "a path outside the folder", name)
    return parts


def _refused(archive: Path, what: str, name: str | None) -> DatasetError:
    found = None if name is None else repr(name[:_SHOWN_NAME])
    return DatasetError(f"{archive.name}: refused, the archive holds {what}", found=found)
