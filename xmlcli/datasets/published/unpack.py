"""Unpack an archive that nobody vouches for. Only plain files and folders appear, and only inside the target folder.

Refused are absolute paths, `..`, links, devices, two members of one name, encryption, more than `MOST_MEMBERS`
members, and more content than a bound. Content is counted as it comes, whatever the archive says of itself.
"""

from __future__ import annotations

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

MOST_MEMBERS = 10_000
LEAST_BOUND = 256 << 20
LARGEST_RATIO = 30
_BLOCK = 1 << 20
_MAC_EXTRAS = "__MACOSX"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)

Member = tuple[str, bool, IO[bytes] | None]


def size_bound(archive: Path) -> int:
    """Return how many bytes an archive may unpack to: thirty times its own size, at least 256 MiB."""
    return max(LEAST_BOUND, LARGEST_RATIO * archive.stat().st_size)


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
    most = size_bound(archive) if bound is None else bound
    folder.mkdir(parents=True)
    written, seen = 0, set[str]()
    try:
        for count, (name, is_folder, content) in enumerate(_members(archive), start=1):
            parts = _safe_parts(archive, name)
            if count > MOST_MEMBERS:
                raise _refused(archive, f"more than {MOST_MEMBERS:,} members", name)
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
                    progress(f"unpack {name}", written, most)
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise
        raise DatasetError(f"{archive.name}: damaged archive", found=str(error) or type(error).__name__) from error


def _members(archive: Path) -> Iterator[Member]:
    """Yield the name of each member, whether it is a folder, and its content."""
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive)
    elif tarfile.is_tarfile(archive):
        yield from _tar_members(archive)
    else:
        with archive.open("rb") as file:
            start = file.read(200).lstrip()
        if start.startswith(b"PK"):
            found = "a zip file that is damaged or cut short"
        else:
            found = "a web page" if start[:1] == b"<" else repr(start[:24]) if start else "an empty file"
        raise DatasetError(f"{archive.name}: no archive", expected="a zip or tar file", found=found)


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, "a link or device", info.filename)
            if info.flag_bits & 1:
                raise _refused(archive, "an encrypted member", info.filename)
            if info.is_dir():
                yield info.filename, True, None
            else:
                with file.open(info) as content:
                    yield info.filename, False, content


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as file:
        for info in file:
            if info.isdir():
                yield info.name, True, None
            elif info.isreg():
                content = file.extractfile(info)
                yield info.name, False, content
            else:
                raise _refused(archive, "a link or device", info.name)


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


def _refused(archive: Path, what: str, name: str) -> DatasetError:
    return DatasetError(f"{archive.name}: refused, the archive holds {what}", found=repr(name))
