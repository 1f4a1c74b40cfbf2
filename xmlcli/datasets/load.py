"""Read a located dataset, whatever its layout. Training and test documents are read by functions of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from xmlcli.datasets import demo, lf_raw, xmc_text
from xmlcli.datasets.find import DEMO, LF_RAW, DatasetFolder
from xmlcli.datasets.raw import RawDataset, RawSplit, read_filter, read_names
from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent


def read_dataset(folder: DatasetFolder, *, max_documents: int | None = None, progress: Progress = silent) -> RawDataset:
    """Both splits, names, filter and propensity constants.

    Args:
        folder: as `locate` found it.
        max_documents: take only so many of the first training documents; test documents are all read.
        progress: told what is read, how much is done and how much there is.

    Raises:
        DatasetError: a file is malformed, or files contradict each other.
    """
    train = read_train(folder, max_documents=max_documents, progress=progress)
    test = read_test(folder, progress=progress)
    if test is not None:
        _check_widths(folder, train, test)
    num_labels = train.Y.shape[1]
    return RawDataset(
        train=train,
        test=test,
        label_names=read_label_names(folder, num_labels),
        feature_names=_names(folder, "features", train.X.shape[1] if train.X is not None else None),
        test_filter=_test_filter(folder, test, num_labels),
        propensity_a=folder.propensity_a,
        propensity_b=folder.propensity_b,
    )


def read_train(folder: DatasetFolder, *, max_documents: int | None = None, progress: Progress = silent) -> RawSplit:
    """The training documents, the first `max_documents` of them where that is given.

    Raises:
        DatasetError: the file is malformed.
    """
    if folder.layout == DEMO:
        return demo.make_train(max_documents=max_documents)
    return _read_file(folder, folder.files["train"], max_documents, progress)


def read_test(folder: DatasetFolder, *, progress: Progress = silent) -> RawSplit | None:
    """The test documents with their labels, or None where there are none. Only evaluation may look at the labels.

    Raises:
        DatasetError: the file is malformed.
    """
    if folder.layout == DEMO:
        return demo.make_test()
    path = folder.files.get("test")
    return None if path is None else _read_file(folder, path, None, progress)


def read_label_names(folder: DatasetFolder, num_labels: int) -> list[str] | None:
    """The text of every label, or None where the dataset has none.

    Raises:
        DatasetError: the file is malformed or has not `num_labels` names.
    """
    if folder.layout == DEMO:
        return demo.label_names()
    if folder.layout == LF_RAW:
        return lf_raw.read_label_names(folder.files["labels"])
    return _names(folder, "labels", num_labels)


def _read_file(folder: DatasetFolder, path: Path, max_documents: int | None, progress: Progress) -> RawSplit:
    if folder.layout == LF_RAW:
        num_labels = len(lf_raw.read_label_names(folder.files["labels"]))
        return lf_raw.read_split(path, num_labels, max_documents=max_documents, progress=progress)
    return xmc_text.read_split(path, max_documents=max_documents, progress=progress)


def _names(folder: DatasetFolder, role: str, expected: int | None) -> list[str] | None:
    path = folder.files.get(role)
    return None if path is None or expected is None else read_names(path, expected)


def _test_filter(folder: DatasetFolder, test: RawSplit | None, num_labels: int) -> npt.NDArray[np.int32] | None:
    path = folder.files.get("test_filter")
    return None if path is None or test is None else read_filter(path, test.Y.shape[0], num_labels)


def _check_widths(folder: DatasetFolder, train: RawSplit, test: RawSplit) -> None:
    """Raise where training and test file count features or labels differently."""
    for what, ours, theirs in (("labels", train.Y, test.Y), ("features", train.X, test.X)):
        if ours is not None and theirs is not None and ours.shape[1] != theirs.shape[1]:
            raise DatasetError(
                f"{folder.files['test']}: not of the same collection as {folder.files['train'].name}",
                where="line 1",
                expected=f"{ours.shape[1]:,} {what}, as in training",
                found=f"{theirs.shape[1]:,}",
            )
