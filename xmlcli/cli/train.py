"""`xmlcli train`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from xmlcli.cli.options import Options, open_run, with_options
from xmlcli.errors import ArtifactError

if TYPE_CHECKING:
    from xmlcli.runs.results import CycleSummary
    from xmlcli.runs.snapshot import Training


@with_options
def train_cli(
    options: Options,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep",
            help="Keep the old model until the new one is complete, or remove it before its artifacts are remade.",
        ),
    ] = True,
) -> None:
    """Run everything a dataset needs, skip what is current, and show the metrics.

    A published dataset that is missing is fetched first, unless XMLCLI_OFFLINE is set. If it is stopped at any moment,
    the same command goes on from there. It needs no DVC; dvc repro does the same stage by stage.

    Training again replaces the model only when all is complete; until then predict, export and evaluate answer from the
    old one, whose artifacts are kept in snapshots/ beside the new ones and need as much disk again. --no-keep does
    without.

    Under torchrun, all its processes train together.

    Example: xmlcli train --dataset demo
    """
    train(options, keep=keep)


def train(options: Options, *, keep: bool = True) -> None:
    """Run the whole plan in this process, then print the summary table."""
    from xmlcli.cli.data import make_ready
    from xmlcli.cli.running import joined_ranks, run_calls
    from xmlcli.runs.plan import plan
    from xmlcli.runs.snapshot import through, train_command

    with joined_ranks(options) as ranks:
        opened = open_run(options)
        calls = plan(opened.config, opened.run)
        ranks.broadcast(lambda: make_ready(options, opened, calls[0]))
        unfinished = run_calls(options, opened, calls, calls, ranks, keep=keep)
    if unfinished:
        raise ArtifactError(
            f"the training of {opened.run.name} is not complete",
            found=f"{unfinished.call.name} would run again: {unfinished.reason}",
            remedy=train_command(opened.run, opened.overrides),
        )
    if ranks.is_first:
        through(opened.workspace, _summary, opened.run)()


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
