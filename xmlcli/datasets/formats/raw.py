"""What every reader of a dataset returns."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.errors import DatasetError

_MOST_DIGITS = 15


@dataclass(frozen=True)
class RawSplit:
    """The documents of one split; exactly one of `texts` and `X` is given.

    Attributes:
        texts: one string a document (raw-text layouts).
        X: float32 CSR (N, F), given features (bag-of-words layouts), sorted, not normalised.
        Y: float32 CSR (N, L) of ones, sorted.
        groups: int64 (N,), the number of each document's group (a table's `group_column`), or None.
    """

    texts: list[str] | None
    X: sp.csr_matrix | None
    Y: sp.csr_matrix
    groups: npt.NDArray[np.int64] | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> RawSplit:
        """Return some documents, int64 (n,), in that order."""
        texts = None if self.texts is None else [self.texts[row] for row in rows.tolist()]
        X = None if self.X is None else self.X[rows]
        return RawSplit(texts, X, self.Y[rows], None if self.groups is None else self.groups[rows])


@dataclass(frozen=True)
class RawDataset:
    """A whole dataset.

    Attributes:
        train, test: the splits; `test` is None where the dataset has none.
        label_names: text of each label, L of them, or None.
        feature_names: name of each given feature, F of them, or None.
        test_filter: int32 (n, 2), test row and label never to be counted, or None.
        propensity_a, propensity_b: constants of the inverse propensities.
    """

    train: RawSplit
    test: RawSplit | None
    label_names: list[str] | None
    feature_names: list[str] | None
    test_filter: npt.NDArray[np.int32] | None
    propensity_a: float
    propensity_b: float


@dataclass(frozen=True)
class ReadSplits:
    """What is read from the files of a layout: both splits and the names of labels; the rest of a `RawDataset` is
    read alike for all layouts."""

    train: RawSplit
    test: RawSplit | None
    label_names: list[str] | None = None


def label_matrix(counts: npt.NDArray[np.int64], labels: npt.NDArray[np.int32], num_labels: int) -> sp.csr_matrix:
    """Return a CSR matrix of ones from the labels of all documents in order; a label named twice counts once.

    Args:
        counts: int64 (N,), labels a document.
        labels: int32 (sum of counts,), ids below `num_labels`.

    Returns:
        float32 CSR (N, num_labels), sorted.
    """
    indptr = np.concatenate([[0], np.cumsum(counts)])
    Y = sp.csr_matrix((np.ones(len(labels), np.float32), labels, indptr), shape=(len(counts), num_labels))
    Y.sum_duplicates()
    Y.data[:] = 1.0
    return Y


def check_rows(path: Path, num_rows: int, other: Path, expected: int) -> None:
    """Raise DatasetError where two files that go together have different numbers of documents."""
    if num_rows != expected:
        raise DatasetError(
            f"{path}: not as many documents as {other.name}", expected=f"{expected:,}", found=f"{num_rows:,}"
        )


def without_mark(line: bytes, number: int) -> bytes:
    """Return a line without the mark that some editors put before the first one."""
    return line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def read_names(path: Path, expected: int | None) -> list[str]:
    """Read one name a line, in UTF-8; the published `Xf.txt` and `Yf.txt` may also be Latin-1.

    Args:
        expected: how many there must be; None where it is not known.

    Raises:
        DatasetError: another number of lines, or not UTF-8.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        if path.name not in ("Xf.txt", "Yf.txt"):
            raise DatasetError(f"{path}: not UTF-8 text ({error})") from error
        text = content.decode("latin-1")
    text = text.removeprefix("\ufeff")
    names = [name.removesuffix("\r") for name in text.removesuffix("\n").split("\n")]
    if expected is not None and len(names) != expected:
        expected_lines = f"{expected:,}, one a name"
        raise DatasetError(f"{path}: wrong number of lines", expected=expected_lines, found=f"{len(names):,}")
    return names


def read_filter(path: Path, num_rows: int, num_labels: int) -> npt.NDArray[np.int32]:
    """Read a filter file: lines `row label`, separated by whitespace; blank lines are skipped.

    Returns:
        int32 (n, 2), empty for an empty file.

    Raises:
        DatasetError: a line is no pair of ids in range.
    """
    problems = FileProblems(path)
    pairs: list[tuple[int, int]] = []
    expected = f"a row below {num_rows:,} and a label below {num_labels:,}"
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if len(fields) == 2 and all(f.isascii() and f.isdigit() and len(f) <= _MOST_DIGITS for f in fields):
                row, label = int(fields[0]), int(fields[1])
                if row < num_rows and label < num_labels:
                    pairs.append((row, label))
                    continue
            if fields:
                problems.add(number, expected, repr(line.rstrip("\n")))
    problems.raise_if_any()
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)
