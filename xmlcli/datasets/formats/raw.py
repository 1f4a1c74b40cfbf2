"""What every reader of a dataset returns, and how it reports a malformed file."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.errors import DatasetError

SHOWN_PROBLEMS = 10
_MOST_DIGITS = 15
SAVE_AS_UTF8 = "save it as UTF-8 (in Excel: CSV UTF-8), or: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"


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


@dataclass(frozen=True)
class TableColumns:
    """How a table (CSV, JSONL, Parquet) is read.

    Attributes:
        text: name of the column with the text, or several names separated by commas, whose texts are joined.
        labels: name of the column with the labels.
        separator: what separates the labels of a document where they are one text and no list.
        group: name of the column that tells which documents belong together, or None.
    """

    text: str = "text"
    labels: str = "labels"
    separator: str = ";"
    group: str | None = None


class FileProblems:
    """Collects what is wrong with one file, to be told at once: all are counted, the first ten shown.

    `unit` is what the numbers count: lines of a text, rows of a matrix.
    """

    def __init__(self, path: Path, unit: str = "line") -> None:
        self.path = path
        self.unit = unit
        self.count = 0
        self._shown: list[str] = []
        self._remedies: dict[str, None] = {}

    def add(self, line: int, expected: str, found: str, remedy: str | None = None) -> None:
        """Note one problem; `line` counts units from 1, the text is cut to a readable length. `remedy` is told once."""
        self.count += 1
        if remedy:
            self._remedies[remedy] = None
        if len(self._shown) < SHOWN_PROBLEMS:
            cut = found if len(found) <= 80 else f"{found[:77]}..."
            self._shown.append(f"{self.unit} {line}: expected {expected}, found {cut}")

    def told(self) -> str:
        """Return what was noted, in one line."""
        return "; ".join(self._shown)

    def raise_if_any(self) -> None:
        """Raise one DatasetError for all that was noted; do nothing where all is well."""
        if not self.count:
            return
        noun = "problem" if self.count == 1 else "problems"
        more = f"\n({self.count - SHOWN_PROBLEMS:,} more)" if self.count > SHOWN_PROBLEMS else ""
        told = f"{self.path}: {self.count:,} {noun}\n" + "\n".join(self._shown) + more
        raise DatasetError(told, remedy="; ".join(self._remedies))


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
