"""Reader of the repository's bag-of-words layout: one text file a split.

The first line is `n d L` (documents, features, labels), then one document a line: `l1,l2 f:v f:v ...`. A document
without labels begins with a space or with its first feature; an empty line is a document without either.

A file is read in blocks. A block is parsed by array operations on its bytes; where anything in it is not exactly as
described, it is parsed again line by line, which either accepts it (more spaces, say) or says what is wrong where.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.datasets.raw import Problems, RawSplit, label_matrix
from xmlcli.datasets.xmc_lines import LARGEST_VALUE, MOST_DIGITS, Header, Rows, parse_lines
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

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
    problems = Problems(path)
    with path.open("rb") as file:
        header = _parse_header(path, file.readline())
        wanted = header.num_documents if max_documents is None else min(max_documents, header.num_documents)
        parts: list[Rows] = []
        num_rows = 0
        for block in _blocks(file, path, progress):
            rows = _parse_block(block, header)
            if rows is None:
                rows = parse_lines(block, num_rows + 2, header, problems)
            num_rows += len(rows.label_counts)
            parts.append(rows)
            if max_documents is not None and num_rows >= wanted:
                break
    if max_documents is None:
        parts, num_rows = _without_blank_end(parts, num_rows, header.num_documents)
    if num_rows < wanted or (max_documents is None and num_rows > wanted):
        expected = f"{header.num_documents:,} documents after the header, as it says"
        problems.add(num_rows + 1, expected, f"{num_rows:,}")
    problems.raise_if_any()
    return _assemble(parts, header, wanted)


def read_header(path: Path) -> Header:
    """The first line of a file.

    Raises:
        DatasetError: it is no header.
    """
    with path.open("rb") as file:
        return _parse_header(path, file.readline(200))


def _parse_header(path: Path, line: bytes) -> Header:
    fields = line.split()
    if len(fields) != 3 or not all(field.isdigit() and len(field) <= MOST_DIGITS for field in fields):
        raise DatasetError(
            f"{path}: malformed header",
            where="line 1",
            expected="three counts: documents, features, labels",
            found=repr(line[:80].decode("latin-1").rstrip("\n")),
        )
    return Header(*(int(field) for field in fields))


def _blocks(file: BinaryIO, path: Path, progress: Progress) -> Iterator[bytes]:
    """The rest of a file in pieces of whole lines, each ending in a newline."""
    total = path.stat().st_size
    done = file.tell()
    rest = b""
    while piece := file.read(_BLOCK_BYTES):
        done += len(piece)
        end = piece.rfind(b"\n") + 1
        if end:
            yield (rest + piece[:end]).replace(b"\r\n", b"\n")
            rest = piece[end:]
        else:
            rest += piece
        progress(f"read {path.name}", done, total)
    if rest:
        yield rest.rstrip(b"\r") + b"\n"


def _parse_block(block: bytes, header: Header) -> Rows | None:
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
    return Rows(
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
    """Every number of a block in order; None where something in it is none."""
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


def _without_blank_end(parts: list[Rows], num_rows: int, expected: int) -> tuple[list[Rows], int]:
    """Forgive blank lines behind the last document."""
    counts = np.concatenate([np.empty(0, np.int64), *(part.label_counts + part.feature_counts for part in parts)])
    if num_rows > expected and not counts[expected:].any():
        return parts, expected
    return parts, num_rows


def _assemble(parts: list[Rows], header: Header, num_rows: int) -> RawSplit:
    """One pair of matrices from the rows read, cut to `num_rows`."""
    empty = parse_lines(b"", 0, header, Problems(Path()))
    parts = [empty, *parts]
    whole = Rows(
        np.concatenate([part.label_counts for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.feature_counts for part in parts]),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.values for part in parts]),
    ).first(num_rows)
    indptr = np.concatenate([[0], np.cumsum(whole.feature_counts)])
    X = sp.csr_matrix((whole.values, whole.features, indptr), shape=(num_rows, header.num_features))
    X.sort_indices()
    X.eliminate_zeros()
    return RawSplit(None, X, label_matrix(whole.label_counts, whole.labels, header.num_labels))
