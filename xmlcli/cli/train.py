"""`xmlcli train`."""

from __future__ import annotations

from xmlcli.cli.options import Opened, Options, open_run, with_options
from xmlcli.stages.call import Call


@with_options
def train_cli(options: Options) -> None:
    """Run everything a dataset needs, skip what is current, and show the metrics.

    A published dataset that is missing is fetched first, unless XMLCLI_OFFLINE is set. If it is stopped at any moment,
    the same command goes on from there. It needs no DVC; dvc repro does the same stage by stage.

    Under torchrun, all its processes train together.

    Example: xmlcli train --dataset demo
    """
    train(options)


def train(options: Options) -> None:
    """Run the whole plan in this process, then print the summary table."""
    from xmlcli.cli.data import make_ready
    from xmlcli.cli.running import joined_ranks, run_calls
    from xmlcli.runs.plan import plan

    with joined_ranks(options) as ranks:
        opened = open_run(options)
        calls = plan(opened.config, opened.run)
        ranks.broadcast(lambda: make_ready(options, opened, calls[0]))
        run_calls(options, opened, calls, calls, ranks)
    if ranks.is_first:
        _print_summary(opened, calls)


def _print_summary(opened: Opened, calls: list[Call]) -> None:
    from rich.console import Console
    from rich.table import Table

    from xmlcli.runs.results import read_oracle_metrics, summaries

    rows = summaries(opened.workspace, calls)
    table = Table(title=f"{opened.run.name}, percent")
    shown = ("P@1", "P@5", "PSP@5")
    for column in ("", "shortlist recall", *shown):
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        table.add_row(f"cycle {row.cycle}, validation", _percent(row.shortlist_recall), *_cells(row.validation, shown))
    table.add_section()
    if rows[-1].test:
        table.add_row(f"cycle {rows[-1].cycle}, test", "", *_cells(rows[-1].test, shown))
    best = read_oracle_metrics(opened.workspace, calls[-1])
    if best:
        table.add_row("oracle, test", "", *_cells(best, shown))
    Console().print(table)


def _cells(metrics: dict[str, float], names: tuple[str, ...]) -> list[str]:
    return [f"{metrics[name]:.2f}" if name in metrics else "" for name in names]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"
