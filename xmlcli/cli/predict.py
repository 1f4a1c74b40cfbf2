"""`xmlcli predict`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from xmlcli.cli.answers_out import STREAM
from xmlcli.cli.data import TABLE_OPTIONS
from xmlcli.cli.options import Options, check_known, given_settings, named_run, with_options
from xmlcli.cli.predict_stream import Stream, answer_stream
from xmlcli.cli.say import tell
from xmlcli.errors import UsageError
from xmlcli.machine.terminal import shown
from xmlcli.storage.workspace import Workspace, check_name

if TYPE_CHECKING:
    from xmlcli.datasets.columns import Carried
    from xmlcli.runs.trained_run import TrainedRun
    from xmlcli.serving.answers import AnswerForm
    from xmlcli.serving.model import Model

T = TypeVar("T")


@with_options("device", "seed", "max_documents", "labels_column", "label_separator")
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
        str | None,
        typer.Option("--format", metavar="jsonl|csv|tsv|xlsx|npz", help="Default: as the suffix of FILE, or jsonl."),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column that names a document. Default: id, if there is one.")
    ] = None,
    keep: Annotated[str | None, typer.Option(metavar="A,B", help="Columns that go with the answers.")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Write each row of the input, its labels behind it.")] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="At most so many labels a document.")] = 5,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Only labels at least so probable.")] = 0.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="With --input -: stop at a line that cannot be read, as in a file.")
    ] = False,
) -> None:
    """Predict labels of new documents, with their probabilities.

    The model is a folder (--model), a trained dataset (--dataset), or the dataset trained last. Its text is read from
    the columns that the model was trained on, unless --text-column names others; labels are not needed. Documents are
    read and answered a block at a time, however many there are. Of standard input, a line that cannot be read is
    answered by an error in its place. Ctrl-C and SIGTERM keep the answers so far, complete lines; whatever else stops
    it leaves FILE as it was.

    \b
    Example: xmlcli predict --dataset demo --text "gabo belu"
             xmlcli predict --model DIR --input documents.txt --output labels.jsonl
             xmlcli predict --model DIR --input new.csv --output labels.xlsx --wide
    """
    from xmlcli.serving.answers import AnswerForm

    if (text is None) == (input_ is None):
        raise UsageError("predict needs either --text or --input", remedy='xmlcli predict --text "…"')
    answer_form = AnswerForm(_format(output, form), threshold, k, wide, mark=output != STREAM)
    carried = _carried(answer_form, id_column, keep, has_columns=input_ is not None)
    if text is not None and form is None and output == STREAM:
        _print_table(open_model(options, model), text, k, threshold)
        return
    stream = Stream(input_ or STREAM, output, answer_form, carried, text, strict, options.text_column)
    answer_stream(lambda: open_model(options, model), stream)


def _carried(form: AnswerForm, id_column: str | None, keep: str | None, *, has_columns: bool) -> Carried:
    """Return which columns go with the answers. Raises UsageError where some are asked for that have no place."""
    from xmlcli.datasets.columns import Carried
    from xmlcli.datasets.formats.records import column_names
    from xmlcli.serving.answers import NPZ

    given = {"--id-column": id_column, "--keep": keep, "--wide": form.wide}
    asked = " and ".join(option for option, value in given.items() if value)
    if asked and not has_columns:
        raise UsageError(f"{asked} beside --text, which has no columns", remedy="use --input FILE")
    if asked and form.format == NPZ:
        raise UsageError(f"a matrix has no place for {asked}", remedy="write .csv, .xlsx, .tsv or .jsonl")
    if keep and form.wide:
        raise UsageError("--keep beside --wide, which keeps every column", expected="one of them")
    return Carried(id_column, column_names(keep) if keep else (), form.wide)


def open_model(options: Options, folder: Path | None) -> Model:
    """Load an exported model, or open that of a trained run."""
    if folder is not None:
        if options.dataset is not None or options.name is not None:
            given = "--dataset" if options.dataset is not None else "--name"
            raise UsageError(f"--model beside {given}", expected="one of them")
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
    if run is not None:
        check_known(run, options.root)
    workspace = Workspace(options.root, run.name) if run else unnamed_workspace(options)

    def opened(training: Training) -> T:
        check_settings(training, asked)
        return use(TrainedRun(training, cycle=cycle))

    return through(workspace, opened, run)


def unnamed_workspace(options: Options) -> Workspace:
    """Return the run that --name names where no dataset is, else the one trained last."""
    if options.name is not None:
        return Workspace(options.root, check_name(options.name, "run"))
    return last_workspace(options.root)


def last_workspace(root: Path) -> Workspace:
    """Return the run that was trained last, and tell of damaged ones."""
    from xmlcli.runs.snapshot import last_trained

    return last_trained(root, lambda line: tell(f"ignored: {line}", "yellow"))


def _format(output: str, form: str | None) -> str:
    """Return the format asked for, or the one the suffix names. Raises UsageError."""
    from xmlcli.serving.answers import FORMATS, JSONL

    suffix = "" if output == STREAM else Path(output).suffix.removeprefix(".").lower()
    if form is None and suffix not in ("", *FORMATS):
        known = ", ".join(f".{known}" for known in FORMATS)
        raise UsageError(f"no answers are written as .{suffix}", where=output, expected=known, remedy="or add --format")
    chosen = form or suffix or JSONL
    if chosen not in FORMATS:
        raise UsageError("no such format", expected=", ".join(FORMATS), found=chosen)
    return chosen


def _print_table(model: Model, text: str, k: int, threshold: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if sys.stdout is None:
        raise UsageError("standard output is closed")
    (labels,) = model.predict([text], k)
    if not model.features([text]).nnz:
        tell("no word of the text is known to the model: its labels mean little", "yellow")
    best, labels = labels[:1], [answer for answer in labels if answer[1] >= threshold]
    if best and not labels:
        (name, highest) = best[0]
        found = f"{highest:.3f}".removeprefix("0")
        tell(f"no label is at or above {threshold:g}; best is {found}, {name}", "yellow")
        return
    table = Table("label", "probability" if model.gives_probabilities else "score")
    table.columns[1].justify = "right"
    for name, score in labels:
        table.add_row(Text(shown(name)), f"{score:.3f}")
    Console().print(table)
