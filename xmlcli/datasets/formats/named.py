"""Collect the names of labels in layouts that have names instead of ids, and give them ids.

Training labels come first, in alphabetical order, or by number if all are numbers. Labels that only test documents have
follow: no model can learn them, but every metric must count them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.datasets.formats.raw import RawSplit, ReadSplits, label_matrix


class NameTable:
    """Label names in the order they were met; `ids` numbers them as it goes."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, names: Iterable[str]) -> list[int]:
        """Return the number of each name; a new name gets the next number."""
        return [self._ids.setdefault(name, len(self._ids)) for name in names]

    def names(self) -> list[str]:
        """Return all names in the order of their numbers."""
        return list(self._ids)


class NamedRows:
    """Documents as they are read: texts, and for each the numbers of its labels."""

    def __init__(self, table: NameTable) -> None:
        self._table = table
        self._counts = array("q")
        self._labels = array("i")
        self._groups = array("q")
        self._group_ids: dict[str, int] = {}
        self.texts: list[str] = []

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, text: str, names: Iterable[str]) -> None:
        """Append a document."""
        self.texts.append(text)
        self.add_labels(names)

    def add_labels(self, names: Iterable[str]) -> None:
        """Append the labels of a document whose text or features are read elsewhere."""
        ids = self._table.ids(names)
        self._counts.append(len(ids))
        self._labels.extend(ids)

    def add_group(self, name: str) -> None:
        """Append the group of a document; an empty name stands for a group of its own."""
        self._groups.append(self._group_ids.setdefault(name or f"\0{len(self._groups)}", len(self._group_ids)))

    def split(self, order: npt.NDArray[np.int32], X: sp.csr_matrix | None = None) -> RawSplit:
        """Return the split, where label number i becomes id `order[i]`; with texts unless features are given."""
        labels = order[np.array(self._labels, dtype=np.int64)]
        Y = label_matrix(np.array(self._counts, dtype=np.int64), labels, len(order))
        groups = np.array(self._groups, dtype=np.int64) if self._groups else None
        return RawSplit(None if X is not None else self.texts, X, Y, groups)


@dataclass(frozen=True)
class NamedFile:
    """What a reader of one file returns: the documents, and their features where the file holds such."""

    rows: NamedRows
    X: sp.csr_matrix | None = None


def read_named(read: Callable[[str, NameTable], NamedFile], *, has_test: bool) -> ReadSplits:
    """Read both splits by `read(role, table)` and give the labels their final ids."""
    table = NameTable()
    train = read("train", table)
    num_train = len(table)
    test = read("test", table) if has_test else None
    met = table.names()
    by_number = all(name.isascii() and name.isdigit() for name in met)

    def rank(number: int) -> tuple[bool, int, str, str]:
        digits = met[number].lstrip("0") if by_number else ""  # compared as numbers are, however many they are
        return number >= num_train, len(digits), digits, met[number]

    final = sorted(range(len(met)), key=rank)
    order = np.empty(len(met), dtype=np.int32)
    order[final] = np.arange(len(met), dtype=np.int32)
    num_features = max(file.X.shape[1] if file and file.X is not None else 0 for file in (train, test))
    return ReadSplits(
        _finished(train, order, num_features),
        None if test is None else _finished(test, order, num_features),
        [met[number] for number in final],
    )


def _finished(file: NamedFile, order: npt.NDArray[np.int32], num_features: int) -> RawSplit:
    if file.X is not None:
        file.X.resize(file.X.shape[0], num_features)
    return file.rows.split(order, file.X)
