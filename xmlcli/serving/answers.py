"""Write predicted labels: as a JSON object for each document, a table, or a matrix of scores."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import scipy.sparse as sp

from xmlcli.storage import files

JSONL, TSV, CSV, XLSX, NPZ = "jsonl", "tsv", "csv", "xlsx", "npz"
FORMATS = (JSONL, TSV, CSV, XLSX, NPZ)
AT_END = (XLSX, NPZ)
"""Formats that are written only when all is answered, into a file."""
ID = "id"
_DIGITS = 6

Labels = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Ranked:
    """The answers to a block of documents.

    Attributes:
        labels, scores: int32 and float32 (N, k), best first, padded with label L.
        errors: row → why its document was not read; such a row holds padding alone.
        fields: for each document the columns that go with its answer; empty where there are none at all.
    """

    labels: Labels
    scores: Scores
    errors: Mapping[int, str]
    fields: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class AnswerForm:
    """How answers are written.

    Attributes:
        format: of `FORMATS`.
        threshold: labels of a smaller score are left out.
        k: at most so many labels a document.
        wide: whether a document's answer is one row, behind all the columns it came with.
        mark: whether a CSV begins with the mark by which Excel knows that it is UTF-8.
    """

    format: str = JSONL
    threshold: float = 0.0
    k: int = 5
    wide: bool = False
    mark: bool = True


class Answers(Protocol):
    """Turns blocks of ranked labels into bytes."""

    def block(self, ranked: Ranked) -> bytes:
        """Return what can be written of a block of documents: whole lines."""

    def end(self) -> bytes | memoryview:
        """Return what can be written only at the end."""


def make_answers(form: AnswerForm, label_names: Sequence[str]) -> Answers:
    """Return the writer of a form. Raises UsageError where a workbook is asked for and openpyxl is not installed."""
    if form.format == NPZ:
        return MatrixAnswers(len(label_names), form.threshold)
    if form.format == JSONL:
        return JsonAnswers(label_names, form)
    from xmlcli.serving.tables import make_table_answers

    return make_table_answers(form, label_names)


def kept_labels(ranked: Ranked, num_labels: int, threshold: float) -> list[tuple[list[int], list[float]]]:
    """Return for each document the labels to show and their scores, rounded."""
    labels, scores = ranked.labels, ranked.scores
    kept = (labels < num_labels) & (scores >= threshold)
    rounded = np.round(scores.astype(np.float64), _DIGITS)
    return [(labels[i][mask].tolist(), rounded[i][mask].tolist()) for i, mask in enumerate(kept)]


class JsonAnswers:
    """Writes a line `{"document": 1, "labels": ["…"], "scores": [0.9]}` for each document, counted from 1.

    An id stands behind the number, other columns under `row`. A document that was not read has a line
    `{"document": 1, "error": "…"}`.
    """

    def __init__(self, label_names: Sequence[str], form: AnswerForm) -> None:
        self._names, self._form, self._count = label_names, form, 0

    def block(self, ranked: Ranked) -> bytes:
        """See `Answers`."""
        lines = []
        for row, (ids, values) in enumerate(kept_labels(ranked, len(self._names), self._form.threshold)):
            self._count += 1
            record: dict[str, Any] = {"document": self._count}
            if ranked.fields:
                record |= self._carried(ranked.fields[row])
            if row in ranked.errors:
                record["error"] = ranked.errors[row]
            else:
                record |= {"labels": [self._names[i] for i in ids], "scores": values}
            lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        return b"".join(lines)

    def _carried(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        if self._form.wide:
            return {"row": fields}
        rest = {name: value for name, value in fields.items() if name != ID}
        return ({ID: fields[ID]} if ID in fields else {}) | ({"row": rest} if rest else {})

    def end(self) -> bytes:
        """Return nothing: every line has been written."""
        return b""


class MatrixAnswers:
    """Makes the `.npz` of a CSR matrix of scores, documents by labels.

    Its entries are held until the end, eight bytes each, and then twice.
    """

    def __init__(self, num_labels: int, threshold: float) -> None:
        self._num_labels, self._threshold = num_labels, threshold
        self._counts: list[npt.NDArray[np.int64]] = []
        self._labels: list[Labels] = []
        self._scores: list[Scores] = []

    def block(self, ranked: Ranked) -> bytes:
        """See `Answers`."""
        labels, scores = ranked.labels, ranked.scores
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
