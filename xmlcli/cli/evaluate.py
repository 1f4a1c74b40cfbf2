"""`xmlcli evaluate`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from xmlcli.cli.data import TABLE_OPTIONS, warn_of_columns
from xmlcli.cli.options import Options, for_run, open_run, with_options
from xmlcli.errors import UsageError


@with_options
def evaluate_cli(
    options: Options,
    cycle: Annotated[int | None, typer.Option(min=1, help="Which cycle. Default: the last one.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="NAME@K", help="P, nDCG, PSP, PSnDCG or R. Repeats.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, costs included.")] = False,
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

    Without --dataset it is the model trained last; what was measured before is not computed again. Without test
    documents the table is that of the validation documents, and says so.

    \b
    Example: xmlcli evaluate --metric psp@5
             xmlcli evaluate --predictions theirs.npz --truth eurlex
    """
    if predictions is None and truth is None:
        evaluate(options, cycle, metric or [], as_json=as_json)
    else:
        _check_foreign(options, cycle, predictions, truth)
        assert predictions is not None
        assert truth is not None
        evaluate_predictions(options, predictions, truth, metric or [], as_json=as_json)


def evaluate(options: Options, cycle: int | None, metrics: list[str], *, as_json: bool) -> None:
    """Evaluate if that has not been done, and print the metrics of one cycle."""
    from xmlcli.cli.running import run_calls
    from xmlcli.runs import results, runner
    from xmlcli.runs.identity import why_not_current
    from xmlcli.runs.plan import find_call, plan

    recorded = None
    if options.dataset is None:
        last = results.last_run(options.root)
        options, recorded = for_run(options, last.run), last.overrides
    opened = open_run(options, recorded)
    calls = plan(opened.config, opened.run)
    call = find_call(calls, "evaluate", opened.config.cycles if cycle is None else cycle)
    if metrics:
        _check_metrics(metrics)
    session = runner.Session(opened.workspace, opened.config)
    if why_not_current(session, call):
        run_calls(options, opened, [call], calls)
    else:
        runner.publish(opened.workspace, call)
    if as_json:
        typer.echo(json.dumps(results.report(opened.workspace, calls, call, metrics)))
    elif metrics:
        for name, value in results.read_test_metrics(opened.workspace, call, metrics).items():
            typer.echo(f"{name} {value:.2f}")
    elif test := results.read_test_metrics(opened.workspace, call, []):
        _print_table(test, results.read_oracle_metrics(opened.workspace, call))
    elif validation := results.read_validation_metrics(opened.workspace, call):
        _print_table(validation, {}, head="percent, validation")
    else:
        raise UsageError(
            "there is nothing to measure", expected="test documents, or enough training documents to keep some back"
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


def _check_foreign(options: Options, cycle: int | None, predictions: Path | None, truth: str | None) -> None:
    """Raise UsageError where --predictions or --truth stands alone, or beside an option that speaks of a model."""
    if predictions is None or truth is None:
        here, missing = ("--predictions", "--truth") if truth is None else ("--truth", "--predictions")
        example = "xmlcli evaluate --predictions FILE --truth NAME"
        raise UsageError(f"{here} without {missing}", expected="both", remedy=example)
    allowed = ("root", *TABLE_OPTIONS)
    given = [f.name for f in fields(options) if getattr(options, f.name) != f.default and f.name not in allowed]
    if cycle is not None:
        given.append("cycle")
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


def _print_table(model: dict[str, float], oracle: dict[str, float], *, head: str = "percent") -> None:
    """Print a row for each kind of metric and a column for each k, the oracle's rows below the model's."""
    from rich.console import Console
    from rich.table import Table

    ks = sorted({int(name.partition("@")[2]) for name in model})
    table = Table(head, *(f"@{k}" for k in ks))
    for prefix, values in (("", model), ("oracle ", oracle)):
        for kind in dict.fromkeys(name.partition("@")[0] for name in values):
            cells = [values.get(f"{kind}@{k}") for k in ks]
            table.add_row(prefix + kind, *("" if cell is None else f"{cell:.2f}" for cell in cells))
        table.add_section()
    Console().print(table)
