"""Read a dataset that has been found, whatever its layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xmlcli.datasets.find import DatasetFolder
from xmlcli.datasets.formats import (
    annif,
    attention_xml,
    layouts,
    lf_raw,
    libsvm,
    pecos,
    split_text,
    table,
    xmc_splits,
    xmc_text,
)
from xmlcli.datasets.formats.layouts import LIBSVM, PECOS, SPLIT_TEXT, TABLE
from xmlcli.datasets.formats.named import NamedFile, NameTable, read_named
from xmlcli.datasets.formats.problems import TableColumns
from xmlcli.datasets.formats.raw import RawDataset, RawSplit, ReadSplits, read_filter, read_names
from xmlcli.datasets.synthetic import demo
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent

_FREE_COLUMNS = 1 << 24  # labels or features without a byte of the files for each


def read_dataset(
    folder: DatasetFolder,
    *,
    columns: TableColumns | None = None,
    max_documents: int | None = None,
    progress: Progress = silent,
) -> RawDataset:
    """Return both splits, the names, the filter and the propensity constants of a dataset.

    Args:
        folder: as `locate` found it.
        columns: how a table is read; of no effect in other layouts.
        max_documents: take only so many of the first training documents; test documents are all read.
        progress: told what is read, how much is done and how much there is.

    Raises:
        DatasetError: a file is malformed, or files contradict each other.
    """
    parts = _Reader(folder, columns or TableColumns(), max_documents, progress).read()
    if not parts.train.Y.shape[0]:
        raise DatasetError(f"{folder.files['train']}: no documents", expected="at least one to train on")
    _check_columns(folder, parts.train)
    if parts.test is not None:
        _check_widths(folder, parts.train, parts.test)
    train, num_labels = parts.train, parts.train.Y.shape[1]
    names = parts.label_names if parts.label_names is not None else _names(folder, "labels", num_labels)
    return RawDataset(
        train=train,
        test=parts.test,
        label_names=names if names is not None and any(names) else None,
        feature_names=_names(folder, "features", train.X.shape[1] if train.X is not None else None),
        test_filter=_test_filter(folder, parts.test, num_labels),
        propensity_a=folder.propensity_a,
        propensity_b=folder.propensity_b,
    )


class _Reader:
    """Reads the splits of one dataset; a method for each kind of layout."""

    def __init__(
        self, folder: DatasetFolder, columns: TableColumns, max_documents: int | None, progress: Progress
    ) -> None:
        self._folder, self._files = folder, folder.files
        self._columns, self._most, self._progress = columns, max_documents, progress

    def read(self) -> ReadSplits:
        """Return both splits."""
        match self._folder.layout:
            case layouts.DEMO:
                return self._demo()
            case layouts.LF_RAW:
                return self._lf_raw()
            case layouts.ANNIF:
                return self._annif()
            case layouts.ATTENTION_XML | layouts.LIBSVM | layouts.TABLE:
                return read_named(self._named_file, has_test="test" in self._files)
            case layouts.XMC_SPLITS:
                data, train, test = (self._files[role] for role in ("data", "train", "test"))
                return xmc_splits.read_splits(data, train, test, max_documents=self._most, progress=self._progress)
        return ReadSplits(self._matrices("train"), self._matrices("test") if "test" in self._files else None)

    def _limit(self, role: str) -> int | None:
        return self._most if role == "train" else None

    def _demo(self) -> ReadSplits:
        return ReadSplits(demo.make_train(max_documents=self._most), demo.make_test(), demo.label_names())

    def _lf_raw(self) -> ReadSplits:
        names = lf_raw.read_label_names(self._files["labels"])

        def split(role: str) -> RawSplit:
            path, most = self._files[role], self._limit(role)
            return lf_raw.read_split(path, len(names), max_documents=most, progress=self._progress)

        return ReadSplits(split("train"), split("test") if "test" in self._files else None, names)

    def _annif(self) -> ReadSplits:
        ids, names = annif.read_vocabulary(self._files["labels"])

        def split(role: str) -> RawSplit:
            path, most = self._files[role], self._limit(role)
            return annif.read_split(path, ids, max_documents=most, progress=self._progress)

        return ReadSplits(split("train"), split("test") if "test" in self._files else None, names)

    def _named_file(self, role: str, names: NameTable) -> NamedFile:
        path, most, progress = self._files[role], self._limit(role), self._progress
        if self._folder.layout == TABLE:
            columns = self._columns if role == "train" else replace(self._columns, group=None)
            return table.read_split(path, columns, names, max_documents=most, progress=progress)
        if self._folder.layout == LIBSVM:
            return libsvm.read_split(path, names, max_documents=most, progress=progress)
        labels = self._files[f"{role}_labels"]
        return attention_xml.read_split(path, labels, names, max_documents=most, progress=progress)

    def _matrices(self, role: str) -> RawSplit:
        path, most, progress = self._files[role], self._limit(role), self._progress
        if self._folder.layout == PECOS:
            return pecos.read_split(path, self._files[f"{role}_labels"], max_documents=most, progress=progress)
        if self._folder.layout == SPLIT_TEXT:
            labels = self._files[f"{role}_labels"]
            return split_text.read_split(path, labels, max_documents=most, progress=progress)
        return xmc_text.read_split(path, max_documents=most, progress=progress)


def _names(folder: DatasetFolder, role: str, expected: int | None) -> list[str] | None:
    path = folder.files.get(role)
    return None if path is None or expected is None else read_names(path, expected)


def _test_filter(folder: DatasetFolder, test: RawSplit | None, num_labels: int) -> npt.NDArray[np.int32] | None:
    path = folder.files.get("test_filter")
    return None if path is None or test is None else read_filter(path, test.Y.shape[0], num_labels)


def _check_columns(folder: DatasetFolder, train: RawSplit) -> None:
    """Raise where there are more labels or features than files of that size can mean: each costs memory."""
    size = sum(path.stat().st_size for path in folder.files.values())
    for role, what, matrix in (("train_labels", "labels", train.Y), ("train", "features", train.X)):
        if matrix is not None and matrix.shape[1] > _FREE_COLUMNS + size:
            raise DatasetError(
                f"{folder.files.get(role, folder.files['train'])}: too many {what} for the size of the dataset",
                expected=f"at most {_FREE_COLUMNS + size:,} {what} in files of {size:,} bytes",
                found=f"{matrix.shape[1]:,}",
                remedy=f"number the {what} from 0 without gaps",
            )


def _check_widths(folder: DatasetFolder, train: RawSplit, test: RawSplit) -> None:
    """Raise where training and test file are of different kinds or count features or labels differently."""

    def differ(where: Path, what: str, expected: str, found: str) -> DatasetError:
        message = f"{where}: not of the same collection as {folder.files['train'].name}"
        return DatasetError(message, where=what, expected=expected, found=found)

    path = folder.files.get("test", Path(folder.name))
    if (train.X is None) != (test.X is None):
        kinds = {True: "texts", False: "features"}
        raise differ(path, "the file's kind", f"{kinds[train.X is None]}, as in training", kinds[test.X is None])
    for what, ours, theirs in (("labels", train.Y, test.Y), ("features", train.X, test.X)):
        if ours is not None and theirs is not None and ours.shape[1] != theirs.shape[1]:
            where = folder.files.get("test_labels", path) if what == "labels" else path
            raise differ(where, "line 1", f"{ours.shape[1]:,} {what}, as in training", f"{theirs.shape[1]:,}")
