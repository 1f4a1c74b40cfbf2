"""Read files line by line or in blocks, plain or compressed. Progress counts bytes of the file itself."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, AnyStr, BinaryIO, cast

from xmlcli.datasets.formats.problems import SAVE_AS_UTF8, FileProblems
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress

COMPRESSIONS = (".gz", ".bz2")
MOST_LINE_BYTES = 64 << 20
LEAST_CONTENT = 16 << 20
LARGEST_RATIO = 30
_LINES_A_REPORT = 20_000
_BUFFER = 1 << 18


def plain_suffix(path: Path) -> str:
    """Return the suffix that says what a file holds: `.csv` for `train.csv.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSIONS else path.suffix.lower()


def size_bound(compressed: Path, least: int = LEAST_CONTENT) -> int:
    """Return how many bytes a compressed file may hold: thirty times its own size, or `least` where that is more."""
    return max(least, LARGEST_RATIO * compressed.stat().st_size)


@contextmanager
def open_stream(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """Open a file for reading, uncompressed by its suffix `.gz` or `.bz2`.

    Yields:
        the content, and a function that says how many bytes of the file have been read.

    Raises:
        DatasetError: the compressed data is damaged, or more than `size_bound`.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            suffix = path.suffix.lower()
            if suffix == ".gz":
                content = _buffered(stack.enter_context(gzip.open(file)), path)
            elif suffix == ".bz2":
                content = _buffered(stack.enter_context(bz2.open(file)), path)
            else:
                content = file
            yield content, file.tell
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:  # what bz2 raises for bad data
            raise _damaged(path, error) from error
        raise


def _buffered(content: gzip.GzipFile | bz2.BZ2File, path: Path) -> BinaryIO:
    """Return a stream that finds its lines in compiled code."""
    return cast(BinaryIO, io.BufferedReader(_Bounded(content, path), _BUFFER))


class _Bounded(io.RawIOBase):
    """Uncompressed content; DatasetError where there is more of it than the file's size allows."""

    def __init__(self, content: gzip.GzipFile | bz2.BZ2File, path: Path) -> None:
        self._content, self._path, self._most = content, path, size_bound(path)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place, by reading up to it."""
        return self._content.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer."""
        count = self._content.readinto(buffer)
        if self._content.tell() > self._most:
            raise DatasetError(
                f"{self._path}: more content than a file of its size should hold",
                expected=f"at most {self._most:,} bytes",
                remedy="if you trust it, decompress it first",
            )
        return count


def bounded_lines(read: Callable[[int], AnyStr], path: Path) -> Iterator[AnyStr]:
    """Yield lines as `readline` gives them; DatasetError for one that is longer than memory should hold."""
    for number, line in enumerate(iter(partial(read, MOST_LINE_BYTES), read(0)), start=1):
        if len(line) >= MOST_LINE_BYTES:
            raise line_too_long(path, number)
        yield line


def line_too_long(path: Path, number: int | None = None) -> DatasetError:
    """Return the error for a line that is longer than memory should hold; `number`: which one, where that is known."""
    where = None if number is None else f"line {number}"
    return DatasetError(f"{path}: a line too long", where=where, expected=f"fewer than {MOST_LINE_BYTES:,} bytes")


def _damaged(path: Path, error: Exception) -> DatasetError:
    kind = "gzip" if path.suffix.lower() == ".gz" else "bzip2"
    return DatasetError(f"{path}: damaged {kind} file ({error})", remedy="fetch the file again")


def numbered_lines(path: Path, most: int | None, progress: Progress) -> Iterator[tuple[int, bytes]]:
    """Yield the first `most` lines of a file with their numbers, from 1, and report how much of it is read."""
    total = path.stat().st_size
    with open_stream(path) as (content, position):
        for number, line in enumerate(islice(bounded_lines(content.readline, path), most), start=1):
            if number % _LINES_A_REPORT == 0:
                progress(f"read {path.name}", position(), total)
            yield number, line
    progress(f"read {path.name}", total, total)


def decoded(line: bytes, number: int, problems: FileProblems) -> str | None:
    """Return a line as text without its end; if it is not UTF-8, note that and return None."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
        problems.add(number, "UTF-8 text", found, SAVE_AS_UTF8)
        return None
    return (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")


def text_lines(path: Path, most: int | None, progress: Progress, problems: FileProblems) -> list[str]:
    """Return the first `most` lines of a text file; a line that cannot be read is noted, and is empty here."""
    return [decoded(line, number, problems) or "" for number, line in numbered_lines(path, most, progress)]
