"""`xmlcli train`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from xmlcli.cli.options import Opened, Options, open_run, with_options
from xmlcli.cli.say import tell
from xmlcli.errors import ArtifactError

if TYPE_CHECKING:
    from xmlcli.runs.results import CycleSummary
    from xmlcli.runs.snapshot import Training
    from xmlcli.storage.workspace import Workspace


@with_options()
def train_cli(
    options: Options,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep",
            help="Keep the old model until the new one is complete, or remove it before its artifacts are remade.",
        ),
    ] = True,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Refuse a table whose labels seem to be separated otherwise.")
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a model of another source, or with other settings.")
    ] = False,
) -> None:
    """Run everything a dataset needs, skip what is current, and show the metrics.

    Of a table the first rows are looked at before anything is made of them: xmlcli check says more of all. A published
    dataset that is missing is fetched first, unless XMLCLI_OFFLINE is set. If it is stopped at any moment, the same
    command goes on from there. It needs no DVC; dvc repro does the same stage by stage, and runs nothing of a run in
    its table that train has made.

    Training again replaces the model only when all is complete; until then predict, export and evaluate answer from the
    old one, whose artifacts are kept in snapshots/ beside the new ones and need as much disk again. --no-keep does
    without.

    A run is named after its dataset, unless --name names it. It remembers where that lay and which settings were given:
    others under the same name are refused, unless --replace says so. xmlcli runs lists what there is.

    Under torchrun, all its processes train together.

    Example: xmlcli train --dataset demo
    """
    train(options, keep=keep, check=check, replace=replace)


def train(options: Options, *, keep: bool = True, check: bool = True, replace: bool = False) -> None:
    """Run the whole plan in this process, then print the summary table."""
    from xmlcli.cli.data import make_ready
    from xmlcli.cli.replacing import check_replaced

    def make_all_ready(opened: Opened) -> None:
        make_ready(options, opened, check=check)
        if not replace:
            check_replaced(opened)

    is_alone = os.environ.get("WORLD_SIZE", "1") == "1"
    early = open_run(options) if is_alone else None
    if early:  # before anything slow is imported, so that errors of typing come at once
        make_all_ready(early)
    from xmlcli.cli.running import joined_ranks, run_calls
    from xmlcli.runs.plan import plan
    from xmlcli.runs.snapshot import through, train_command

    with joined_ranks(options) as ranks:
        opened = early or open_run(options)
        if not is_alone:
            ranks.broadcast(lambda: make_all_ready(opened))
        calls = plan(opened.config, opened.run)
        unfinished = run_calls(options, opened, calls, calls, ranks, keep=keep)
    if unfinished:
        raise ArtifactError(
            f"the training of {opened.run.name} is not complete",
            found=f"{unfinished.call.name} would run again: {unfinished.reason}",
            remedy=train_command(opened.run, opened.overrides),
        )
    if ranks.is_first:
        through(opened.workspace, _summary, opened.run)()
        through(opened.workspace, partial(_adopt, opened.workspace), opened.run)


def _adopt(workspace: Workspace, training: Training) -> None:
    """Tell DVC what was made, where it has the run in its table."""
    from xmlcli.cli.display import display
    from xmlcli.runs import dvc_adoption

    if dvc_adoption.is_adoptable(workspace, training):
        with display("dvc.lock"):
            why_not = dvc_adoption.adopt(workspace, training)
        if why_not:
            tell(f"warning: dvc repro would train {training.run.name} again: {why_not}", "yellow")


def _summary(training: Training) -> Callable[[], None]:
    """Read the figures of a training, and return a function that prints them."""
    from xmlcli.runs.results import read_oracle_metrics, summaries

    rows, best = summaries(training), read_oracle_metrics(training, training.plan[-1])
    return lambda: _print_summary(training.workspace.run, rows, best)


def _print_summary(name: str, rows: list[CycleSummary], best: dict[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    caption = "unseen: labels without a training document; recall: of the shortlists"
    table = Table(title=f"{name}, percent", caption=caption)
    shown = ("P@1", "P@5", "PSP@5")
    for column in ("", "documents", "unseen", "recall", *shown):
        table.add_column(column, justify="right" if column else "left")
    for row in {row.fitted: row for row in reversed(rows)}.values():
        about = _about(row.of["validation"])
        recall = _percent(row.shortlist_recall)
        table.add_row(f"cycle {row.fitted}, validation", *about, recall, *_cells(row.validation, shown))
    table.add_section()
    last = rows[-1]
    if last.test:
        table.add_row(f"cycle {last.cycle}, test", *_about(last.of["test"]), "", *_cells(last.test, shown))
    if best:
        table.add_row("oracle, test", *_about(last.of["test"]), "", *_cells(best, shown))
    Console().print(table)


def _about(of: dict[str, float]) -> tuple[str, str]:
    """Return how many documents there are, and which share of their labels no training document carries."""
    return f"{of['documents']:,}", _percent(of["unseen_labels"])


def _cells(metrics: dict[str, float], names: tuple[str, ...]) -> list[str]:
    return [f"{metrics[name]:.2f}" if name in metrics else "" for name in names]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"
