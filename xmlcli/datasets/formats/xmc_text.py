"""Read the repository's bag-of-words layout: one text file for each split.

The first line is `n d L` (documents, features, labels), then one document a line: `l1,l2 f:v f:v ...`. A document
without labels begins with a space or with its first feature; an empty line is a document without either.

A file is read in blocks. A block is parsed by array operations on its bytes; where anything in it is not exactly as
described, it is parsed again line by line, which either accepts it (more spaces, say) or says what is wrong where.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit, label_matrix
from xmlcli.datasets.formats.streams import MOST_LINE_BYTES, line_too_long, open_stream
from xmlcli.datasets.formats.xmc_lines import (
    LARGEST_VALUE,
    MOST_DIGITS,
    MOST_IDS,
    Header,
    ParsedRows,
    parse_lines,
)
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

OPEN = Header(None, MOST_IDS, MOST_IDS)
"""Stands for the header of a file that has none."""

_BLOCK_BYTES = 4 << 20
_SPACE, _NEWLINE, _COMMA, _COLON = (ord(sign) for sign in " \n,:")
_SEPARATORS_TO_SPACE = bytes.maketrans(b":,", b"  ")


def _table(signs: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[list(signs)] = True
    return table


_IS_SEPARATOR = _table(b" \t\n,:")
_IS_DIGIT = _table(b"0123456789")
_IS_KNOWN = _table(b" \t\n,:0123456789.+-eE")


def read_split(path: Path, *, max_documents: int | None = None, progress: Progress = silent) -> RawSplit:
    """Read one file.

    Args:
        path: the file.
        max_documents: take only so many of the first documents; the rest is neither read nor checked.
        progress: told bytes done and in all.

    Returns:
        X (n, d) and Y (n, L). Labels named twice on a line are merged, features of value 0 left out.

    Raises:
        DatasetError: the file is malformed; all its problems are counted, the first ten shown.
    """
    rows, header = read_rows(path, parse_header, max_documents=max_documents, progress=progress)
    Y = label_matrix(rows.label_counts, rows.labels, header.num_labels)
    return RawSplit(None, feature_matrix(rows, header.num_features), Y)


def read_rows(
    path: Path,
    head: Callable[[Path, bytes], Header] | None,
    *,
    max_documents: int | None = None,
    progress: Progress = silent,
) -> tuple[ParsedRows, Header]:
    """Read the rows `l1,l2 f:v f:v ...` of a file, plain or compressed.

    Args:
        head: parses the first line; None where the file has no header, ids are then only bounded by int32.
        max_documents, progress: as for `read_split`.

    Raises:
        DatasetError: as for `read_split`.
    """
    problems = FileProblems(path)
    with open_stream(path) as (stream, position):
        header = OPEN if head is None else head(path, stream.readline())
        whole = header.num_documents
        wanted = max_documents if whole is None else whole if max_documents is None else min(max_documents, whole)
        parts: list[ParsedRows] = []
        num_rows = 0
        for block in _blocks(stream, position, path, progress):
            rows = _parse_block(block, header)
            if rows is None:
                rows = parse_lines(block, num_rows + (1 if head is None else 2), header, problems)
            num_rows += len(rows.label_counts)
            parts.append(rows)
            if max_documents is not None and wanted is not None and num_rows >= wanted:
                break
    everything = _joined(parts, header)
    if max_documents is None:
        num_rows = _without_blank_end(everything, whole)
    if wanted is not None and (num_rows < wanted if max_documents is not None else num_rows != wanted):
        if whole is not None:
            problems.add(num_rows + 1, f"{whole:,} documents after the header, as it says", f"{num_rows:,}")
        wanted = num_rows
    problems.raise_if_any()
    return everything.first(num_rows if wanted is None else wanted), header


def parse_header(path: Path, line: bytes) -> Header:
    """Return the three counts in the first line of a split.

    Raises:
        DatasetError: it is no such line.
    """
    num_documents, num_features, num_labels = counts(path, line, ("documents", "features", "labels"))
    return Header(num_documents, num_features, num_labels)


def counts(path: Path, line: bytes, what: tuple[str, ...]) -> list[int]:
    """Return the numbers of a header line, one for each word of `what`.

    Raises:
        DatasetError: there are not as many, they are no counts, or there are more ids than int32 holds.
    """
    fields = line.split()
    if len(fields) != len(what) or not all(field.isdigit() and len(field) <= MOST_DIGITS for field in fields):
        raise DatasetError(
            f"{path}: malformed header",
            where="line 1",
            expected=f"{('two', 'three')[len(what) - 2]} counts: {', '.join(what)}",
            found=repr(line[:80].decode("latin-1").rstrip("\n")),
        )
    numbers = [int(field) for field in fields]
    for number, noun in zip(numbers[1:], what[1:], strict=True):
        if number > MOST_IDS:
            expected, found = f"at most {MOST_IDS:,} {noun}", f"{number:,}"
            raise DatasetError(f"{path}: malformed header", where="line 1", expected=expected, found=found)
    return numbers


def _blocks(stream: BinaryIO, position: Callable[[], int], path: Path, progress: Progress) -> Iterator[bytes]:
    """Yield the rest of a file in blocks of whole lines, each ending in a newline."""
    total = path.stat().st_size
    begun: list[bytes] = []  # the line that has not ended yet
    length = 0
    while piece := stream.read(_BLOCK_BYTES):
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join([*begun, piece[:end]]).replace(b"\r\n", b"\n")
            begun, length = [], 0
        begun.append(piece[end:])
        length += len(begun[-1])
        if length >= MOST_LINE_BYTES:
            raise line_too_long(path)
        progress(f"read {path.name}", position(), total)
    if length:
        yield b"".join(begun).rstrip(b"\r") + b"\n"


def _parse_block(block: bytes, header: Header) -> ParsedRows | None:
    """Parse whole lines by array operations; None where anything is unusual or wrong."""
    signs = np.frombuffer(b"\n" + block, dtype=np.uint8)
    if not _IS_KNOWN[signs].all():
        return None
    in_token = ~_IS_SEPARATOR[signs]
    starts = np.flatnonzero(in_token[1:] & ~in_token[:-1]) + 1  # (T,) first byte of every number
    ends = np.flatnonzero(in_token[:-1] & ~in_token[1:]) + 1  # (T,) the byte behind its last
    before, behind = signs[starts - 1], signs[ends]
    is_feature, is_value = behind == _COLON, before == _COLON
    is_label = ~(is_feature | is_value)
    if not _well_formed(signs, starts, ends, is_feature, is_value, is_label):
        return None
    numbers = _numbers(block)
    if numbers is None or len(numbers) != len(starts):
        return None
    labels, features, values = numbers[is_label], numbers[is_feature], numbers[is_value]
    newlines = np.flatnonzero(signs == _NEWLINE)[1:]
    line_of = np.searchsorted(newlines, starts)
    num_rows = len(newlines)
    feature_rows = line_of[is_feature]
    if (labels >= header.num_labels).any() or (features >= header.num_features).any():
        return None
    if not (np.abs(values) <= LARGEST_VALUE).all() or _repeats(feature_rows, features):
        return None
    return ParsedRows(
        np.bincount(line_of[is_label], minlength=num_rows),
        labels.astype(np.int32),
        np.bincount(feature_rows, minlength=num_rows),
        features.astype(np.int32),
        values.astype(np.float32),
    )


def _well_formed(
    signs: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    is_feature: npt.NDArray[np.bool_],
    is_value: npt.NDArray[np.bool_],
    is_label: npt.NDArray[np.bool_],
) -> bool:
    """Whether the numbers of a block stand as `l,l f:v f:v`, one document a line, ids made of digits only."""
    before, behind = signs[starts - 1], signs[ends]
    touching = starts[1:] == ends[:-1] + 1  # one separator between two numbers
    in_pair = is_feature & np.append(is_value[1:] & touching, False)
    in_list = (is_label & (behind == _COMMA))[:-1] & touching & is_label[1:]
    other = np.flatnonzero(~_IS_SEPARATOR[signs] & ~_IS_DIGIT[signs])
    return bool(
        not (is_feature & is_value).any()
        # every colon joins a feature to its value, every comma two labels
        and np.count_nonzero(signs == _COLON) == np.count_nonzero(in_pair)
        and np.count_nonzero(signs == _COMMA) == np.count_nonzero(in_list)
        # labels begin their line
        and np.isin(before[is_label], (_NEWLINE, _COMMA)).all()
        and (ends - starts)[~is_value].max(initial=0) <= MOST_DIGITS
        and is_value[np.searchsorted(starts, other, side="right") - 1].all()
    )


def _numbers(block: bytes) -> npt.NDArray[np.float64] | None:
    """Return every number of a block in order, or None if something in it is no number."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(block.translate(_SEPARATORS_TO_SPACE), dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def _repeats(rows: npt.NDArray[np.int64], features: npt.NDArray[np.float64]) -> bool:
    """Whether a row names a feature twice."""
    if ((np.diff(features) > 0) | (np.diff(rows) > 0)).all():
        return False
    order = np.lexsort((features, rows))
    return bool(((np.diff(features[order]) == 0) & (np.diff(rows[order]) == 0)).any())


def _without_blank_end(rows: ParsedRows, expected: int | None) -> int:
    """Return the number of rows, ignoring blank lines behind the last document, the `expected`-th."""
    used = np.flatnonzero(rows.label_counts + rows.feature_counts)
    last = int(used[-1]) + 1 if len(used) else 0
    num_rows = len(rows.label_counts)
    return last if expected is None else num_rows if last > expected else min(num_rows, expected)


def _joined(parts: list[ParsedRows], header: Header) -> ParsedRows:
    """Return all rows that were read, in order."""
    parts = [parse_lines(b"", 0, header, FileProblems(Path())), *parts]
    return ParsedRows(
        np.concatenate([part.label_counts for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.feature_counts for part in parts]),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def feature_matrix(rows: ParsedRows, num_features: int) -> sp.csr_matrix:
    """Return the features of some rows, float32 CSR (N, num_features), sorted, without zeros."""
    indptr = np.concatenate([[0], np.cumsum(rows.feature_counts)])
    X = sp.csr_matrix((rows.values, rows.features, indptr), shape=(len(rows.feature_counts), num_features))
    X.sort_indices()
    X.eliminate_zeros()
    return X
