"""Read files line by line or in blocks, plain or compressed. Progress counts bytes of the file itself."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from xmlcli.datasets.formats.raw import SAVE_AS_UTF8, FileProblems
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress

COMPRESSIONS = (".gz", ".bz2")
_LINES_A_REPORT = 20_000
_BUFFER = 1 << 18


def plain_suffix(path: Path) -> str:
    """Return the suffix that says what a file holds: `.csv` for `train.csv.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSIONS else path.suffix.lower()


@contextmanager
def open_stream(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """Open a file for reading, uncompressed by its suffix `.gz` or `.bz2`.

    Yields:
        the content, and a function that says how many bytes of the file have been read.

    Raises:
        DatasetError: the compressed data is damaged.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            suffix = path.suffix.lower()
            if suffix == ".gz":
                content = _buffered(stack.enter_context(gzip.open(file)))
            elif suffix == ".bz2":
                content = _buffered(stack.enter_context(bz2.open(file)))
            else:
                content = file
            yield content, file.tell
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is None:  # what bz2 raises for bad data
            raise _damaged(path, error) from error
        raise


def _buffered(content: gzip.GzipFile | bz2.BZ2File) -> BinaryIO:
    """Return a stream that finds its lines in compiled code."""
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, content), _BUFFER))


def _damaged(path: Path, error: Exception) -> DatasetError:
    kind = "gzip" if path.suffix.lower() == ".gz" else "bzip2"
    return DatasetError(f"{path}: damaged {kind} file ({error})", remedy="fetch the file again")


def numbered_lines(path: Path, most: int | None, progress: Progress) -> Iterator[tuple[int, bytes]]:
    """Yield the first `most` lines of a file with their numbers, from 1, and report how much of it is read."""
    total = path.stat().st_size
    with open_stream(path) as (content, position):
        for number, line in enumerate(islice(cast(Iterable[bytes], content), most), start=1):
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
