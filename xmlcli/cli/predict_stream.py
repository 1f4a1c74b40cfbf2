"""Answer a stream of documents block by block, each in its place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from xmlcli.cli.answers_out import STREAM, Stopped, Stopping, check_output, opened_output, stopping
from xmlcli.cli.say import tell

if TYPE_CHECKING:
    import scipy.sparse as sp

    from xmlcli.datasets.columns import Carried, Wanted
    from xmlcli.datasets.documents import Block
    from xmlcli.serving.answers import AnswerForm, Ranked
    from xmlcli.serving.model import Documents, Model


@dataclass(frozen=True)
class Stream:
    """What is answered, and how.

    Attributes:
        source, output: paths, or `-` for standard input and output.
        form: how the answers are written.
        carried: which columns go with them.
        text: the one document, instead of a source.
        strict: whether a line of standard input that cannot be read ends all, instead of being answered by an error.
        text_column: of a table or of JSON; None for the model's own.
    """

    source: str
    output: str
    form: AnswerForm
    carried: Carried
    text: str | None = None
    strict: bool = False
    text_column: str | None = None


@dataclass
class _Tally:
    """How many documents were answered, how many of them by an error, and what there is to know of the others.

    Attributes:
        unknown: documents without a word, or a feature, that the model knows.
        bare: documents of which no label is as probable as the threshold; `best` is the highest score among them.
    """

    documents: int = 0
    unreadable: int = 0
    unknown: int = 0
    bare: int = 0
    best: float = 0.0

    def __str__(self) -> str:
        unreadable = f", {self.unreadable:,} of them unreadable" if self.unreadable else ""
        return f"{self.documents:,} documents{unreadable}"

    def add(self, ranked: Ranked, known: list[bool], threshold: float) -> None:
        """Count a block; `known`: of each document that was read, whether the model knows a word of it."""
        self.documents += len(ranked.labels)
        self.unreadable += len(ranked.errors)
        self.unknown += known.count(False)
        best = ranked.scores.max(axis=1, initial=0.0)
        bare = [float(best[row]) for row in range(len(best)) if best[row] < threshold and row not in ranked.errors]
        self.bare += len(bare)
        self.best = max(self.best, *bare, 0.0)

    def remarks(self, threshold: float) -> list[str]:
        """Say what a reader of the answers could wonder at."""
        found = []
        if self.unknown:
            found.append(f"no known word in {self.unknown:,} of {self.documents:,} documents: labels there mean little")
        if self.bare:
            best = f"{self.best:.3f}".removeprefix("0")
            found.append(
                f"no label at or above {threshold:g} for {self.bare:,} of {self.documents:,} documents; best is {best}"
            )
        return found


def answer_stream(open_model: Callable[[], Model], stream: Stream) -> None:
    """Write the labels of all documents of a stream, and say on stderr how many there were."""
    check_output(stream.output, stream.form.format)
    started, tally = time.monotonic(), _Tally()
    with stopping() as signals:
        try:
            stopped = _answer_all(open_model(), stream, signals, tally)
        except Stopped as before_or_after:
            stopped = before_or_after
    if stopped is not None:
        with suppress(OSError):  # of a terminal that has hung up
            tell(f"{stopped.word} after {tally}", "red")
        sys.exit(stopped.exit_code)
    for remark in tally.remarks(stream.form.threshold):
        tell(remark, "yellow")
    if stream.output != STREAM or tally.unreadable:
        tell(f"{tally}, {time.monotonic() - started:.1f} s", "green")


def _answer_all(model: Model, stream: Stream, signals: Stopping, tally: _Tally) -> Stopped | None:
    """Answer block by block; return what stopped that where the answers so far are kept."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.documents import Block, read_documents
    from xmlcli.serving.answers import AT_END, JSONL, make_answers

    form = stream.form
    if stream.source == STREAM:  # how a pipe is cut into blocks is chance
        model = model.independent_of_blocks()
    answers = make_answers(form, model.label_names)
    with display() as shown, opened_output(stream.output, signals) as write:
        documents = read_documents(
            stream.source,
            as_text=model.takes_text,
            num_features=model.num_features,
            wanted=_wanted(model, stream),
            strict=stream.strict,
            progress=shown.progress,
        )
        try:
            for block in documents if stream.text is None else [Block([stream.text])]:
                ranked, known = _answered(model, block, form.k)
                if form.format != JSONL:
                    _tell(ranked.errors, tally.documents)
                tally.add(ranked, known, form.threshold)
                write(answers.block(ranked))
        except Stopped as stopped:
            if form.format in AT_END:
                raise
            return stopped
        write(answers.end())
    return None


def _wanted(model: Model, stream: Stream) -> Wanted:
    """Return which columns are read: those asked for, else the ones that the model was trained on."""
    from xmlcli.datasets.columns import Wanted
    from xmlcli.datasets.formats.records import column_names

    column = stream.text_column or model.text_column
    names = column_names(column) if column else Wanted().text
    return Wanted(names, stream.text_column is None, stream.carried)


def _answered(model: Model, block: Block, k: int) -> tuple[Ranked, list[bool]]:
    """Return the answers to a block, padding alone for what cannot be read, and the error of each such row.

    Also returns of each document that was read whether the model knows a word or a feature of it.
    """
    import numpy as np

    from xmlcli.datasets.documents import Unreadable
    from xmlcli.serving.answers import Ranked

    texts = block.documents if isinstance(block.documents, list) else []
    errors = {row: text.error for row, text in enumerate(texts) if isinstance(text, Unreadable)}
    there = [row for row in range(len(texts)) if row not in errors]
    documents = [texts[row] for row in there] if errors else block.documents
    X: sp.csr_matrix = model.features(cast("Documents", documents))
    known = (np.diff(X.indptr) > 0).tolist()
    labels, scores = model.top_k_of(X, k)
    if errors:
        found, probabilities = labels, scores
        labels = np.full((len(texts), found.shape[1]), model.num_labels, np.int32)
        scores = np.zeros(labels.shape, np.float32)
        labels[there], scores[there] = found, probabilities
    return Ranked(labels, scores, errors, block.fields), known


def _tell(errors: Mapping[int, str], before: int) -> None:
    """Tell on stderr of documents that a format has no place to tell of."""
    for row, error in errors.items():
        tell(f"document {before + row + 1:,}: {error}", "red")
