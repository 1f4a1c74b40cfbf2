"""Count the documents, labels and features of a dataset without reading it whole, where its files tell."""

from __future__ import annotations

from pathlib import Path

from xmlcli.datasets.find import DatasetFolder
from xmlcli.datasets.formats.layouts import (
    ANNIF,
    ATTENTION_XML,
    LF_RAW,
    LIBSVM,
    PECOS,
    SPLIT_TEXT,
    TABLE,
    XMC_TEXT,
)
from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.records import records
from xmlcli.datasets.formats.streams import open_stream, plain_suffix
from xmlcli.errors import XmlcliError
from xmlcli.progress import silent

FEATURES, LABELS, TRAINING, TEST = "features", "labels", "training documents", "test documents"
_LARGEST = 100 << 20
"""Bytes of a file that is read to count its lines."""
_READ_BYTES = 1 << 20

Counts = dict[str, int]


def count(folder: DatasetFolder) -> Counts:
    """Return what is known of a dataset's size; what its files do not tell, or cannot be read, is left out."""
    found: Counts = {}
    for split, name in (("train", TRAINING), ("test", TEST)):
        if split not in folder.files:
            continue
        try:
            found |= {name if key == TRAINING else key: n for key, n in _of_split(folder, split).items()}
        except (XmlcliError, OSError, ValueError, KeyError):
            continue
    return found


def _of_split(folder: DatasetFolder, split: str) -> Counts:
    """Return the counts of a split, its documents as those of training."""
    path, layout = folder.files[split], folder.layout
    if layout == XMC_TEXT:
        return dict(zip((TRAINING, FEATURES, LABELS), _header(path), strict=False))
    if layout == SPLIT_TEXT:
        documents, features = _header(path)
        return {TRAINING: documents, FEATURES: features, LABELS: _header(folder.files[f"{split}_labels"])[1]}
    if layout == PECOS:
        documents, labels = _shape(folder.files[f"{split}_labels"])
        return {TRAINING: documents, LABELS: labels} | ({FEATURES: _shape(path)[1]} if path.suffix == ".npz" else {})
    if layout in (LF_RAW, ANNIF):
        return {TRAINING: _lines(path), LABELS: _lines(folder.files["labels"])}
    if layout in (ATTENTION_XML, LIBSVM):
        return {TRAINING: _lines(path)}
    return {TRAINING: _rows(path)} if layout == TABLE else {}


def _header(path: Path) -> list[int]:
    with open_stream(path) as (content, _):
        return [int(field) for field in content.readline(200).split()]


def _shape(path: Path) -> tuple[int, int]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        rows, columns = archive["shape"].tolist()
    return rows, columns


def _lines(path: Path) -> int:
    """Return the number of lines. Raises ValueError for a large file, which would take long."""
    if path.stat().st_size > _LARGEST:
        raise ValueError("too large")
    found, last = 0, b"\n"
    with open_stream(path) as (content, _):
        while chunk := content.read(_READ_BYTES):
            found, last = found + chunk.count(b"\n"), chunk[-1:]
    return found + (last != b"\n")


def _rows(path: Path) -> int:
    if plain_suffix(path) in (".jsonl", ".ndjson"):
        return _lines(path)
    if path.stat().st_size > _LARGEST // 10:
        raise ValueError("too large")
    return sum(1 for _ in records(path, (), FileProblems(path), silent))
