"""`xmlcli evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmlcli.cli.data import TABLE_OPTIONS, warn_of_columns
from xmlcli.cli.options import Opened, Options, given_settings, open_run, with_options
from xmlcli.errors import ArtifactError, LockedError, UsageError

if TYPE_CHECKING:
    from xmlcli.runs.snapshot import Training


@with_options
def evaluate_cli(
    options: Options,
    cycle: Annotated[int | None, typer.Option(min=1, help="Which cycle. Default: the last one.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="NAME@K", help="P, nDCG, PSP, PSnDCG or R. Repeats.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, costs included.")] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Show how well probabilities hold on the test documents.")
    ] = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="Another system's scores: .npz, or lines of label:score."
        ),
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="With --predictions: the dataset they are for.")
    ] = None,
) -> None:
    """Measure a trained model on the test documents, or the predictions of another system.

    Without --dataset it is the model trained last; what was measured before is not computed again. While that model is
    trained again, or where its dataset or pipeline file has changed since, the figures are those of its last complete
    training. Without test documents the table is that of the validation documents, and says so.

    \b
    Example: xmlcli evaluate --metric psp@5
             xmlcli evaluate --predictions theirs.npz --truth eurlex
    """
    if predictions is None and truth is None:
        evaluate(options, cycle, metric or [], as_json=as_json, calibration=calibration)
    else:
        _check_foreign(options, cycle, predictions, truth, calibration=calibration)
        assert predictions is not None
        assert truth is not None
        evaluate_predictions(options, predictions, truth, metric or [], as_json=as_json)


def evaluate(
    options: Options, cycle: int | None, metrics: list[str], *, as_json: bool, calibration: bool = False
) -> None:
    """Evaluate if that has not been done, and print the metrics of one cycle, or how well its probabilities hold."""
    from xmlcli.runs.snapshot import through

    _check_metrics(metrics)
    if calibration and metrics:
        raise UsageError("--metric beside --calibration", expected="one of them")
    read = _read_calibration if calibration else partial(_read, metrics=metrics)
    opened = _open(options)
    measured = _measure(options, opened, cycle)
    if measured is None:
        show = through(opened.workspace, lambda training: read(training, cycle, as_json=as_json), opened.run)
    else:
        show = read(measured, cycle, as_json=as_json)
        measured.check_unchanged()
    show()


def _open(options: Options) -> Opened:
    """Return the run that options name, or the one trained last with the settings of that training."""
    from xmlcli.cli.predict import last_workspace
    from xmlcli.config.resolved import overridden
    from xmlcli.runs.snapshot import published

    if options.dataset is not None:
        return open_run(options)
    workspace, given = last_workspace(options.root), given_settings(options)
    training = published(workspace)
    return Opened(training.run, workspace, overridden(training.config, given), {**training.overrides, **given})


def _measure(options: Options, opened: Opened, cycle: int | None) -> Training | None:
    """Evaluate under the settings of the options and the pipeline file, where all that comes before is current.

    Returns None where the complete training is to answer; what was measured where it is part of none, such as an
    earlier cycle of a training under way. Raises ArtifactError or UsageError where neither can answer.
    """
    from xmlcli.cli.running import run_calls
    from xmlcli.config.overrides import flatten
    from xmlcli.config.resolved import all_settings
    from xmlcli.runs import identity, runner
    from xmlcli.runs.plan import ancestors, find_call, plan
    from xmlcli.runs.snapshot import check_settings, incomplete, is_published, measured, published

    workspace, given = opened.workspace, given_settings(options)
    calls = plan(opened.config, opened.run)
    call = find_call(calls, "evaluate", opened.config.cycles if cycle is None else cycle)
    session = runner.Session(workspace, opened.config)
    every = flatten(all_settings(opened.config))
    if _is_complete(opened, every) and identity.why_not_current(session, call) is None:
        runner.publish_metrics(workspace, call)
        return None
    made = [*(c for c in calls if c.output == call.inputs["combination"]), call]  # both follow from `evaluate` settings
    before = identity.status(session, ancestors(calls, call))
    stale = next((s for s in before if not s.current and s.call not in made), None)
    if stale is None:
        try:
            unfinished = run_calls(options, opened, made, calls)
        except LockedError:
            if not _is_complete(opened, given):
                raise
            return None
        return measured(workspace, opened.config, call) if unfinished else None
    found = f"{stale.call.name} would run: {stale.reason}"
    if not is_published(workspace):
        raise incomplete(workspace, opened.run, found)
    check_settings(published(workspace, opened.run), given)
    typer.secho(f"{found}; these are figures of the complete training", err=True, fg="yellow")
    return None


def _is_complete(opened: Opened, asked: Mapping[str, Any]) -> bool:
    """Whether the run has a complete training with the settings asked for."""
    from xmlcli.runs.snapshot import check_settings, published

    try:
        check_settings(published(opened.workspace, opened.run), asked)
    except (ArtifactError, UsageError):
        return False
    return True


def _read(training: Training, cycle: int | None, *, metrics: list[str], as_json: bool) -> Callable[[], None]:
    """Read the metrics of a cycle, and return a function that prints them. Raises UsageError where there are none."""
    from xmlcli.runs import results
    from xmlcli.runs.plan import find_call

    call = find_call(training.plan, "evaluate", training.config.cycles if cycle is None else cycle)
    if as_json:
        return partial(typer.echo, json.dumps(results.report(training, call, metrics)))
    test = results.read_test_metrics(training, call, metrics)
    if metrics:
        return partial(typer.echo, "\n".join(f"{name} {value:.2f}" for name, value in test.items()))
    of = results.read_of(training, call)
    if test:
        return partial(_print_table, test, results.read_oracle_metrics(training, call), of=_of(of, "test"))
    validation = results.read_validation_metrics(training, call)
    if validation:
        return partial(_print_table, validation, {}, of=_of(of, "validation"))
    raise UsageError(
        "there is nothing to measure", expected="test documents, or enough training documents to keep some back"
    )


def _read_calibration(training: Training, cycle: int | None, *, as_json: bool) -> Callable[[], None]:
    """Read how well the probabilities of a cycle hold, and return a function that prints it."""
    from xmlcli.runs import results
    from xmlcli.runs.plan import find_call

    call = find_call(training.plan, "evaluate", training.config.cycles if cycle is None else cycle)
    found = results.read_calibration(training, call)
    return partial(typer.echo, json.dumps(found)) if as_json else partial(_print_calibration, found)


def _print_calibration(found: dict[str, Any]) -> None:
    """Print a row for each bin of probability that holds labels."""
    from rich.console import Console
    from rich.table import Table

    table = Table("probability, %", "labels", "predicted", "observed", "difference")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in found["calibration"]:
        predicted, observed = 100 * row["predicted"], 100 * row["observed"]
        shares = f"{predicted:.1f}", f"{observed:.1f}", f"{predicted - observed:+.1f}"
        table.add_row(f"{100 * row['from']:.0f} to {100 * row['to']:.0f}", f"{row['labels']:,}", *shares)
    Console().print(table)
    typer.echo(_of(found["of"], "test"))
    typer.echo(f"expected calibration error {found['expected_calibration_error']:.2f} points")


def _of(of: Mapping[str, Mapping[str, float]], split: str) -> str:
    """Say of what figures are."""
    about = of[split]
    return (
        f"{about['documents']:,} {split} documents; no training document has "
        f"{100 * about['unseen_labels']:.2f} % of their {about['labels']:,} labels"
    )


def evaluate_predictions(options: Options, predictions: Path, truth: str, wanted: list[str], *, as_json: bool) -> None:
    """Print metrics of another system's predictions; nothing is written."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.datasets.formats.raw import TableColumns
    from xmlcli.datasets.load import read_dataset
    from xmlcli.datasets.predictions import measure_predictions
    from xmlcli.metrics import DEFAULT_METRICS, parse_metric

    metrics = [parse_metric(text) for text in wanted] or list(DEFAULT_METRICS)
    usual = TableColumns()
    columns = TableColumns(
        options.text_column or usual.text,
        options.labels_column or usual.labels,
        options.label_separator or usual.separator,
    )
    folder = locate(truth, data_folders(options.root))
    warn_of_columns(folder, [f"--{name.replace('_', '-')}" for name in TABLE_OPTIONS if getattr(options, name)])
    with display() as shown:
        dataset = read_dataset(folder, columns=columns, progress=shown.progress)
        values = measure_predictions(predictions, dataset, metrics, progress=shown.progress)
    if as_json:
        typer.echo(json.dumps({"dataset": folder.name, "metrics": values}))
    elif wanted:
        for name, value in values.items():
            typer.echo(f"{name} {value:.2f}")
    else:
        _print_table(values, {})


def _check_foreign(
    options: Options, cycle: int | None, predictions: Path | None, truth: str | None, *, calibration: bool
) -> None:
    """Raise UsageError where --predictions or --truth stands alone, or beside an option that speaks of a model."""
    if predictions is None or truth is None:
        here, missing = ("--predictions", "--truth") if truth is None else ("--truth", "--predictions")
        example = "xmlcli evaluate --predictions FILE --truth NAME"
        raise UsageError(f"{here} without {missing}", expected="both", remedy=example)
    allowed = ("root", *TABLE_OPTIONS)
    given = [f.name for f in fields(options) if getattr(options, f.name) != f.default and f.name not in allowed]
    if cycle is not None:
        given.append("cycle")
    if calibration:
        given.append("calibration")
    if given:
        names = ", ".join(f"--{name.strip('_').replace('_', '-')}" for name in given)
        raise UsageError(
            f"{names} beside --predictions",
            expected="only --truth, --metric, --json, --root and the columns of a table",
            remedy="--truth names the dataset; the other options are those of a trained model",
        )


def _check_metrics(metrics: list[str]) -> None:
    """Raise UsageError for an unknown metric before anything is computed."""
    from xmlcli.metrics import parse_metric

    for text in metrics:
        parse_metric(text)


def _print_table(model: dict[str, float], oracle: dict[str, float], *, of: str = "") -> None:
    """Print a row for each kind of metric and a column for each k, the oracle's rows below the model's.

    of: what the figures are of.
    """
    from rich.console import Console
    from rich.table import Table

    ks = sorted({int(name.partition("@")[2]) for name in model})
    table = Table("percent", *(f"@{k}" for k in ks))
    for prefix, values in (("", model), ("oracle ", oracle)):
        for kind in dict.fromkeys(name.partition("@")[0] for name in values):
            cells = [values.get(f"{kind}@{k}") for k in ks]
            table.add_row(prefix + kind, *("" if cell is None else f"{cell:.2f}" for cell in cells))
        table.add_section()
    Console().print(table)
    if of:
        typer.echo(of)
