"""Write a dataset in another layout: the repository's (`lf`) or that of PECOS (`pecos`).

Texts become `trn.json.gz` in `lf`; given features become the split layout, `trn_X_Xf.txt` and the rest. In `pecos`
matrices are `.npz`, texts one a line, line breaks in them becoming spaces. A target appears whole or not at all.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
import scipy.sparse as sp

from xmlcli.datasets.formats.raw import RawDataset, RawSplit
from xmlcli.errors import UsageError
from xmlcli.progress import Progress, silent
from xmlcli.storage.atomic import atomic_folder

LF, PECOS = "lf", "pecos"
_ROWS_A_REPORT = 5_000


def write_dataset(
    dataset: RawDataset,
    target: Path,
    layout: str,
    *,
    extra: Mapping[str, bytes] | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write a dataset into a new folder.

    Args:
        dataset: what to write.
        target: the folder; it must not exist, or be empty.
        layout: `lf` or `pecos`.
        extra: name and content of files to go with it.
        progress: told documents written and in all.

    Returns:
        the files written.

    Raises:
        UsageError: another layout is asked for, or something is in the target already.
    """
    check_target(target, layout)
    write = _write_pecos if layout == PECOS else _write_lf
    with atomic_folder(target, f".{os.getpid()}") as folder:
        for split, name in ((dataset.train, "trn"), (dataset.test, "tst")):
            if split is not None:
                write(folder, name, split, progress)
        _write_names(folder, dataset, layout)
        if dataset.test_filter is not None:
            lines = "".join(f"{row} {label}\n" for row, label in dataset.test_filter.tolist())
            (folder / "filter_labels_test.txt").write_text(lines, encoding="utf-8")
        for name, content in (extra or {}).items():
            (folder / name).write_bytes(content)
    return sorted(target.iterdir())


def check_target(target: Path, layout: str) -> None:
    """Raise UsageError unless the layout can be written, and the target be made."""
    if layout not in (LF, PECOS):
        raise UsageError(f"no layout {layout!r} to write", expected=f"{LF} or {PECOS}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is in the way", expected="a folder that does not exist yet, or an empty one")


def _write_lf(folder: Path, name: str, split: RawSplit, progress: Progress) -> None:
    if split.X is not None:
        _write_matrix(folder / f"{name}_X_Xf.txt", split.X, progress)
        _write_matrix(folder / f"{name}_X_Y.txt", split.Y, progress)
        return
    assert split.texts is not None
    with _gzipped(folder / f"{name}.json.gz") as file:
        for row, text in enumerate(split.texts):
            labels = split.Y.indices[split.Y.indptr[row] : split.Y.indptr[row + 1]].tolist()
            record = {"uid": str(row), "title": text, "content": "", "target_ind": labels}
            record["target_rel"] = [1.0] * len(labels)
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            _report(progress, f"{name}.json.gz", row, len(split.texts))


def _write_pecos(folder: Path, name: str, split: RawSplit, progress: Progress) -> None:
    sp.save_npz(folder / f"Y.{name}.npz", split.Y, compressed=False)
    if split.X is not None:
        sp.save_npz(folder / f"X.{name}.npz", split.X, compressed=False)
        return
    assert split.texts is not None
    _write_lines(folder / f"X.{name}.txt", split.texts)
    _report(progress, f"X.{name}.txt", len(split.texts) - 1, len(split.texts))


def _write_names(folder: Path, dataset: RawDataset, layout: str) -> None:
    """Write the names of labels and features; raw text of `lf` has a line for each label even without names."""
    names = dataset.label_names
    if layout == LF and dataset.train.texts is not None:
        with _gzipped(folder / "lbl.json.gz") as file:
            for label in range(dataset.train.Y.shape[1]):
                record = {"uid": str(label), "title": names[label] if names else ""}
                file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    elif names is not None:
        _write_lines(folder / ("output-items.txt" if layout == PECOS else "Y.txt"), names)
    if layout == LF and dataset.feature_names is not None:
        _write_lines(folder / "Xf.txt", dataset.feature_names)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write one text a line; line breaks inside a text become spaces."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(" ".join(line.splitlines()) + "\n" for line in lines)


def _write_matrix(path: Path, matrix: sp.csr_matrix, progress: Progress) -> None:
    """Write a matrix in the split layout, with nine digits, which give every float32 back exactly."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"{matrix.shape[0]} {matrix.shape[1]}\n")
        for row in range(matrix.shape[0]):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            pairs = np.empty(2 * (part.stop - part.start), dtype=object)
            pairs[::2], pairs[1::2] = matrix.indices[part].tolist(), matrix.data[part].tolist()
            file.write((" ".join(["%d:%.9g"] * (len(pairs) // 2)) + "\n") % tuple(pairs))
            _report(progress, path.name, row, matrix.shape[0])


def _report(progress: Progress, name: str, row: int, total: int) -> None:
    if row % _ROWS_A_REPORT == 0 or row + 1 == total:
        progress(f"write {name}", row + 1, total)


@contextmanager
def _gzipped(path: Path) -> Iterator[gzip.GzipFile]:
    """Yield a gzip file whose bytes do not depend on the time."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as content:
        yield content
