"""`xmlcli evaluate`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from xmlcli.cli.options import Options, for_run, open_run, with_options


@with_options
def evaluate_cli(
    options: Options,
    cycle: Annotated[int | None, typer.Option(min=1, help="Which cycle. Default: the last one.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="NAME@K", help="P, nDCG, PSP, PSnDCG or R. Repeats.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, costs included.")] = False,
) -> None:
    """Measure a trained model on the test documents.

    Without --dataset it is the model trained last; what was measured before is not computed again.

    Example: xmlcli evaluate --metric psp@5
    """
    evaluate(options, cycle, metric or [], as_json=as_json)


def evaluate(options: Options, cycle: int | None, metrics: list[str], *, as_json: bool) -> None:
    """Evaluate where that is not done yet, and print metrics of one cycle."""
    from xmlcli import pipeline, results
    from xmlcli.cli.stage import run_calls
    from xmlcli.plan import find_call, plan

    recorded = None
    if options.dataset is None:
        last = results.last_run(options.root)
        options, recorded = for_run(options, last.run), last.overrides
    opened = open_run(options, recorded)
    calls = plan(opened.config, opened.run)
    call = find_call(calls, "evaluate", opened.config.cycles if cycle is None else cycle)
    if metrics:
        _check_metrics(metrics)
    session = pipeline.Session(opened.workspace, opened.config)
    if pipeline.why_not_current(session, call):
        run_calls(options, opened, [call], calls)
    else:
        pipeline.publish(opened.workspace, call)
    if as_json:
        typer.echo(json.dumps(results.report(opened.workspace, calls, call, metrics)))
    elif metrics:
        for name, value in results.measure(opened.workspace, call, metrics).items():
            typer.echo(f"{name} {value:.2f}")
    else:
        _print_table(results.measure(opened.workspace, call, []), results.oracle(opened.workspace, call))


def _check_metrics(metrics: list[str]) -> None:
    """Raise UsageError for an unknown metric before anything is computed."""
    from xmlcli.metrics import parse_metric

    for text in metrics:
        parse_metric(text)


def _print_table(model: dict[str, float], oracle: dict[str, float]) -> None:
    """Print a row for each kind of metric and a column for each k, the oracle's rows below the model's."""
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
