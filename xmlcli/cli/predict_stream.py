"""Answer a stream of documents block by block, each in its place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import typer

from xmlcli.cli.answers_out import STREAM, Stopped, Stopping, check_output, opened_output, stopping

if TYPE_CHECKING:
    from xmlcli.arrays import Floats, Ints
    from xmlcli.datasets.documents import Block
    from xmlcli.serving.model import Documents, Model


@dataclass(frozen=True)
class Stream:
    """What is answered, and how.

    Attributes:
        source, output: paths, or `-` for standard input and output.
        form: of `answers.FORMATS`.
        k, threshold: at most so many labels a document, at least so probable.
        strict: whether a line of standard input that cannot be read ends all, instead of being answered by an error.
        text_column: of a table or of JSON, or None.
    """

    source: str
    output: str
    form: str
    k: int
    threshold: float
    strict: bool
    text_column: str | None


@dataclass
class _Tally:
    """How many documents were answered, and how many of them by an error."""

    documents: int = 0
    unreadable: int = 0

    def __str__(self) -> str:
        unreadable = f", {self.unreadable:,} of them unreadable" if self.unreadable else ""
        return f"{self.documents:,} documents{unreadable}"


def answer_stream(open_model: Callable[[], Model], stream: Stream) -> None:
    """Write the labels of all documents of a stream, and say on stderr how many there were."""
    from xmlcli.serving.answers import NPZ

    check_output(stream.output, as_matrix=stream.form == NPZ)
    started, tally = time.monotonic(), _Tally()
    with stopping() as signals:
        try:
            stopped = _answer_all(open_model(), stream, signals, tally)
        except Stopped as before_or_after:
            stopped = before_or_after
    if stopped is not None:
        with suppress(OSError):  # of a terminal that has hung up
            typer.secho(f"{stopped.word} after {tally}", err=True, fg="red")
        sys.exit(stopped.exit_code)
    if stream.output != STREAM or tally.unreadable:
        typer.secho(f"{tally}, {time.monotonic() - started:.1f} s", err=True, fg="green")


def _answer_all(model: Model, stream: Stream, signals: Stopping, tally: _Tally) -> Stopped | None:
    """Answer block by block; return what stopped that where the answers so far are kept."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.documents import read_documents
    from xmlcli.datasets.formats.raw import TableColumns
    from xmlcli.serving.answers import JSONL, NPZ, make_answers

    if stream.source == STREAM:  # how a pipe is cut into blocks is chance
        model = model.independent_of_blocks()
    answers = make_answers(stream.form, model.label_names, stream.threshold)
    with display() as shown, opened_output(stream.output, signals) as write:
        documents = read_documents(
            stream.source,
            as_text=model.takes_text,
            num_features=model.num_features,
            columns=TableColumns(text=stream.text_column or TableColumns().text),
            strict=stream.strict,
            progress=shown.progress,
        )
        try:
            for block in documents:
                labels, scores, errors = _answered(model, block, stream.k)
                if stream.form != JSONL:
                    _tell(errors, tally.documents)
                tally.documents += len(labels)
                tally.unreadable += len(errors)
                write(answers.block(labels, scores, errors))
        except Stopped as stopped:
            if stream.form == NPZ:
                raise
            return stopped
        write(answers.end())
    return None


def _answered(model: Model, block: Block, k: int) -> tuple[Ints, Floats, dict[int, str]]:
    """Return what `Model.top_k` does, padding alone for what cannot be read, and the error of each such row."""
    import numpy as np

    from xmlcli.datasets.documents import Unreadable

    texts = block if isinstance(block, list) else []
    errors = {row: text.error for row, text in enumerate(texts) if isinstance(text, Unreadable)}
    if not errors:
        return *model.top_k(cast("Documents", block), k), {}
    there = [row for row in range(len(texts)) if row not in errors]
    found, probabilities = model.top_k([texts[row] for row in there], k)
    labels = np.full((len(texts), found.shape[1]), model.num_labels, np.int32)
    scores = np.zeros(labels.shape, np.float32)
    labels[there], scores[there] = found, probabilities
    return labels, scores, errors


def _tell(errors: dict[int, str], before: int) -> None:
    """Tell on stderr of documents that a format has no place to tell of."""
    for row, error in errors.items():
        typer.secho(f"document {before + row + 1:,}: {error}", err=True, fg="red")
