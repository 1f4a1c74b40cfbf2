"""Running calls from the command line: all of a plan, or the one that a stage's subcommand names."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

import typer

from xmlcli.calls import Call
from xmlcli.cli.display import Display
from xmlcli.cli.options import Opened, Options, open_run
from xmlcli.launch import joined
from xmlcli.ranks import Ranks


def started(options: Options) -> AbstractContextManager[Ranks]:
    """Return a context manager that gives this process's place among those that torchrun started, if it did."""

    def tell(line: str) -> None:
        typer.secho(f"xmlcli: {line}", file=sys.__stderr__, fg="red")

    return joined(options.device, tell=tell)


def run_calls(options: Options, opened: Opened, calls: list[Call], plan: list[Call], ranks: Ranks) -> None:
    """Run those calls that are not current, showing how they go."""
    from xmlcli import pipeline

    display = Display(live=sys.stderr.isatty())
    session = pipeline.Session(
        workspace=opened.workspace,
        config=opened.config,
        device=options.device,
        ranks=ranks,
        overrides=opened.overrides,
        progress=display.progress,
        on_skip=display.on_skip,
        on_start=display.on_start,
        on_done=display.on_done,
    )
    try:
        pipeline.run(session, calls, plan)
    finally:
        display.close()


def run_stage(options: Options, stage: str, cycle: int | None = None) -> None:
    """Run one call of the plan; UsageError where the plan has none of that cycle."""
    from xmlcli.plan import find_call, plan

    with started(options) as ranks:
        opened = open_run(options)
        calls = plan(opened.config, opened.run)
        run_calls(options, opened, [find_call(calls, stage, cycle)], calls, ranks)
