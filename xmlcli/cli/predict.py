"""`xmlcli predict`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from xmlcli.cli.answers_out import STREAM
from xmlcli.cli.data import TABLE_OPTIONS
from xmlcli.cli.options import Options, given_settings, named_run, with_options
from xmlcli.cli.predict_stream import Stream, answer_stream
from xmlcli.errors import UsageError
from xmlcli.machine.terminal import shown
from xmlcli.storage.workspace import Workspace

if TYPE_CHECKING:
    from xmlcli.runs.trained_run import TrainedRun
    from xmlcli.serving.model import Model

T = TypeVar("T")


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
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE|-", help="Where the answers go.")] = STREAM,
    form: Annotated[
        str | None, typer.Option("--format", metavar="jsonl|tsv|npz", help="Default: as the suffix of FILE, or jsonl.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="At most so many labels a document.")] = 5,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Only labels at least so probable.")] = 0.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="With --input -: stop at a line that cannot be read, as in a file.")
    ] = False,
) -> None:
    """Predict labels of new documents, with their probabilities.

    The model is a folder (--model), a trained dataset (--dataset), or the dataset trained last. Documents are read and
    answered a block at a time, however many there are. Of standard input, a line that cannot be read is answered by an
    error in its place. Ctrl-C and SIGTERM keep the answers so far, complete lines; whatever else stops it leaves FILE
    as it was.

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
    stream = Stream(input_, output, _format(output, form), k, threshold, strict, options.text_column)
    answer_stream(lambda: open_model(options, model), stream)


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


def _format(output: str, form: str | None) -> str:
    """Return the format asked for, or the one the suffix names. Raises UsageError."""
    from xmlcli.serving.answers import FORMATS, JSONL

    suffix = Path(output).suffix.removeprefix(".").lower()
    chosen = form or (suffix if suffix in FORMATS else JSONL)
    if chosen not in FORMATS:
        raise UsageError("no such format", expected=", ".join(FORMATS), found=chosen)
    return chosen


def _print_table(model: Model, text: str, k: int, threshold: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if sys.stdout is None:
        raise UsageError("standard output is closed")
    (labels,) = model.predict([text], k, threshold=threshold)
    table = Table("label", "probability" if model.gives_probabilities else "score")
    table.columns[1].justify = "right"
    for name, score in labels:
        table.add_row(Text(shown(name)), f"{score:.3f}")
    Console().print(table)
