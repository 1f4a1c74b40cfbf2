"""`xmlcli predict`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from xmlcli.cli.data import TABLE_OPTIONS
from xmlcli.cli.options import Options, given_settings, named_run, with_options
from xmlcli.errors import EXIT_INTERRUPTED, UsageError
from xmlcli.machine.terminal import shown
from xmlcli.storage.workspace import Workspace

if TYPE_CHECKING:
    from xmlcli.runs.trained_run import TrainedRun
    from xmlcli.serving.answers import Answers
    from xmlcli.serving.model import Model

T = TypeVar("T")

_STREAM = "-"


@with_options
def predict_cli(
    options: Options,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model that xmlcli export wrote, instead of --dataset.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="One document; its labels come as a table.")] = None,
    input_: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="FILE|-", help="Documents: text or JSON lines, a table, .npz, a folder."),
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE|-", help="Where the answers go.")] = _STREAM,
    form: Annotated[
        str | None, typer.Option("--format", metavar="jsonl|tsv|npz", help="Default: as the suffix of FILE, or jsonl.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="At most so many labels a document.")] = 5,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Only labels at least so probable.")] = 0.0,
) -> None:
    """Predict labels of new documents, with their probabilities.

    The model is a folder (--model), a trained dataset (--dataset), or the dataset trained last. Documents are read and
    answered a block at a time, however many there are. Ctrl-C keeps the answers so far, complete lines; whatever else
    stops it leaves FILE as it was.

    \b
    Example: xmlcli predict --dataset demo --text "gabo belu"
             xmlcli predict --model DIR --input documents.txt --output labels.jsonl
    """
    if (text is None) == (input_ is None):
        raise UsageError("predict needs either --text or --input", remedy='xmlcli predict --text "…"')
    if text is not None:
        _print_table(open_model(options, model), text, k, threshold)
        return
    assert input_ is not None
    predict_all(options, model, input_, output, _format(output, form), k, threshold)


def open_model(options: Options, folder: Path | None) -> Model:
    """Load an exported model, or open that of a trained run."""
    if folder is not None:
        if options.dataset is not None:
            raise UsageError("--model beside --dataset", expected="one of them")
        from xmlcli.serving.model import load

        return load(folder)
    return open_trained(options, lambda trained: trained.model())


def open_trained(options: Options, use: Callable[[TrainedRun], T], cycle: int | None = None) -> T:
    """Return what `use` makes of the complete training that options name, or that of the dataset trained last.

    Its settings are those that it was trained with. Raises UsageError where the options give others.
    """
    from xmlcli.runs.snapshot import Training, check_settings, through
    from xmlcli.runs.trained_run import TrainedRun

    columns = {f"prepare.{name}" for name in TABLE_OPTIONS}  # of the documents to answer
    asked = {key: value for key, value in given_settings(options).items() if key not in columns}
    run = named_run(options) if options.dataset else None
    workspace = Workspace(options.root, run.name) if run else last_workspace(options.root)

    def opened(training: Training) -> T:
        check_settings(training, asked)
        return use(TrainedRun(training, cycle=cycle))

    return through(workspace, opened, run)


def last_workspace(root: Path) -> Workspace:
    """Return the run that was trained last, and tell of damaged ones."""
    from xmlcli.runs.snapshot import last_trained

    return last_trained(root, lambda line: typer.secho(f"ignored: {line}", err=True, fg="yellow"))


def predict_all(
    options: Options, folder: Path | None, source: str, output: str, form: str, k: int, threshold: float
) -> None:
    """Write the labels of all documents of a source."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.documents import read_documents
    from xmlcli.datasets.formats.raw import TableColumns
    from xmlcli.serving.answers import make_answers

    started = time.monotonic()
    model = open_model(options, folder)
    answers = make_answers(form, model.label_names, threshold)
    columns = TableColumns(text=options.text_column or TableColumns().text)
    count, interrupted = 0, False
    with display() as shown, _opened(output, form) as descriptor, _whole_lines() as write:
        documents = read_documents(
            source,
            as_text=model.takes_text,
            num_features=model.num_features,
            columns=columns,
            progress=shown.progress,
        )
        try:
            for block in documents:
                labels, scores = model.top_k(block, k)
                count += len(labels)
                write(descriptor, answers.block(labels, scores))
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        typer.secho(f"interrupted after {count:,} documents", err=True, fg="red")
        sys.exit(EXIT_INTERRUPTED)
    _write_matrix(answers, output)
    if output != _STREAM:
        seconds = time.monotonic() - started
        typer.secho(f"{count:,} documents, {seconds:.1f} s", err=True, fg="green")


def _format(output: str, form: str | None) -> str:
    """Return the format asked for, or the one the suffix names. Raises UsageError."""
    from xmlcli.serving.answers import FORMATS, JSONL, NPZ

    suffix = Path(output).suffix.removeprefix(".").lower()
    chosen = form or (suffix if suffix in FORMATS else JSONL)
    if chosen not in FORMATS:
        raise UsageError("no such format", expected=", ".join(FORMATS), found=chosen)
    if chosen == NPZ and output == _STREAM:
        raise UsageError("a matrix cannot be written to standard output", remedy="add --output FILE.npz")
    return chosen


@contextmanager
def _opened(output: str, form: str) -> Iterator[int]:
    """Yield the descriptor to write to. A file is replaced when the block ends well; a matrix is written later."""
    from xmlcli.serving.answers import NPZ
    from xmlcli.storage.atomic import atomic_file

    path = Path(output)
    if output == _STREAM or form == NPZ:
        yield sys.stdout.fileno()
        return
    with ExitStack() as stack:
        try:
            is_replaced = path.is_file() or not path.exists()
            file = (stack.enter_context(atomic_file(path)) if is_replaced else path).open("wb", buffering=0)
        except OSError as error:
            raise UsageError("cannot write there", where=output, found=error.strerror) from error
        with file:
            yield file.fileno()


@contextmanager
def _whole_lines() -> Iterator[Any]:
    """Yield a function that writes bytes to a descriptor; Ctrl-C takes effect before or after, never in the middle."""
    writing, stopped = False, False

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        if not writing or stopped:
            raise KeyboardInterrupt
        stopped = True

    def write(descriptor: int, content: bytes) -> None:
        nonlocal writing
        rest = memoryview(content)
        writing = True
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        writing = False
        if stopped:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield write
    finally:
        signal.signal(signal.SIGINT, before)


def _write_matrix(answers: Answers, output: str) -> None:
    from xmlcli.storage import files
    from xmlcli.storage.atomic import atomic_file

    matrix = answers.end()
    if matrix is not None:
        with atomic_file(Path(output)) as path:
            files.save_csr(path, matrix)


def _print_table(model: Model, text: str, k: int, threshold: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    (labels,) = model.predict([text], k, threshold=threshold)
    table = Table("label", "probability" if model.gives_probabilities else "score")
    table.columns[1].justify = "right"
    for name, score in labels:
        table.add_row(Text(shown(name)), f"{score:.3f}")
    Console().print(table)
