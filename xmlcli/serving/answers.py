"""Write predicted labels: as a JSON object for each document, a line for each label, or a matrix of scores."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import scipy.sparse as sp

from xmlcli.machine.terminal import shown
from xmlcli.storage import files

JSONL, TSV, NPZ = "jsonl", "tsv", "npz"
FORMATS = (JSONL, TSV, NPZ)
_DIGITS = 6

Labels = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


class Answers(Protocol):
    """Turns blocks of ranked labels into bytes."""

    def block(self, labels: Labels, scores: Scores, errors: Mapping[int, str]) -> bytes:
        """Return the whole lines for a block of documents; both arrays are (N, k), padded with label L.

        errors: why a row's document was not read; such a row holds padding alone.
        """

    def end(self) -> bytes | memoryview:
        """Return what can be written only at the end."""


def make_answers(form: str, label_names: Sequence[str], threshold: float) -> Answers:
    """Return the writer of a format of `FORMATS`. It leaves out labels whose score is below the threshold."""
    if form == NPZ:
        return MatrixAnswers(len(label_names), threshold)
    return JsonAnswers(label_names, threshold) if form == JSONL else TsvAnswers(label_names, threshold)


def _kept(labels: Labels, scores: Scores, num_labels: int, threshold: float) -> list[tuple[list[int], list[float]]]:
    """Return for each document the labels to show and their scores, rounded."""
    kept = (labels < num_labels) & (scores >= threshold)
    rounded = np.round(scores.astype(np.float64), _DIGITS)
    return [(labels[i][mask].tolist(), rounded[i][mask].tolist()) for i, mask in enumerate(kept)]


class JsonAnswers:
    """Writes a line `{"document": 1, "labels": ["…"], "scores": [0.9]}` for each document, counted from 1.

    A document that was not read has a line `{"document": 1, "error": "…"}`.
    """

    def __init__(self, label_names: Sequence[str], threshold: float) -> None:
        self._names, self._threshold, self._count = label_names, threshold, 0

    def block(self, labels: Labels, scores: Scores, errors: Mapping[int, str]) -> bytes:
        """See `Answers`."""
        lines = []
        for row, (ids, values) in enumerate(_kept(labels, scores, len(self._names), self._threshold)):
            self._count += 1
            record: dict[str, Any] = {"document": self._count}
            if row in errors:
                record["error"] = errors[row]
            else:
                record |= {"labels": [self._names[i] for i in ids], "scores": values}
            lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        return b"".join(lines)

    def end(self) -> bytes:
        """Return nothing: every line has been written."""
        return b""


class TsvAnswers:
    """Writes a line `document, label, score` for each label, below a header; a document without labels has none."""

    def __init__(self, label_names: Sequence[str], threshold: float) -> None:
        self._names, self._threshold, self._count = (
            [shown(" ".join(name.split())) for name in label_names],
            threshold,
            0,
        )
        self._head = "document\tlabel\tscore\n"

    def block(self, labels: Labels, scores: Scores, errors: Mapping[int, str]) -> bytes:
        """See `Answers`."""
        lines, self._head = [self._head], ""
        for ids, values in _kept(labels, scores, len(self._names), self._threshold):
            self._count += 1
            lines += [f"{self._count}\t{self._names[i]}\t{value:.6g}\n" for i, value in zip(ids, values, strict=True)]
        return "".join(lines).encode()

    def end(self) -> bytes:
        """Return the header where there was no document, else nothing."""
        return self._head.encode()


class MatrixAnswers:
    """Makes the `.npz` of a CSR matrix of scores, documents by labels.

    Its entries are held until the end, eight bytes each, and then twice.
    """

    def __init__(self, num_labels: int, threshold: float) -> None:
        self._num_labels, self._threshold = num_labels, threshold
        self._counts: list[npt.NDArray[np.int64]] = []
        self._labels: list[Labels] = []
        self._scores: list[Scores] = []

    def block(self, labels: Labels, scores: Scores, errors: Mapping[int, str]) -> bytes:
        """See `Answers`."""
        kept = (labels < self._num_labels) & (scores >= self._threshold)
        self._counts.append(kept.sum(axis=1))
        self._labels.append(labels[kept])
        self._scores.append(scores[kept])
        return b""

    def end(self) -> memoryview:
        """Return the archive of float32 CSR (N, L)."""
        counts = np.concatenate([np.zeros(1, np.int64), *self._counts])
        labels = np.concatenate([np.zeros(0, np.int32), *self._labels])
        scores = np.concatenate([np.zeros(0, np.float32), *self._scores])
        shape = (len(counts) - 1, self._num_labels)
        matrix = sp.csr_matrix((scores, labels, np.cumsum(counts)), shape=shape)
        matrix.sort_indices()
        archive = io.BytesIO()
        files.save_csr(archive, matrix)
        return archive.getbuffer()
