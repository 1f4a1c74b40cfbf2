"""Run stage calls from the command line: all of a plan, or the one that a subcommand names."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import typer

from xmlcli.cli.display import display
from xmlcli.cli.options import Opened, Options, open_run
from xmlcli.cli.say import color_of
from xmlcli.machine.terminal import shown
from xmlcli.stages.call import Call

if TYPE_CHECKING:
    from xmlcli.distributed.ranks import Ranks
    from xmlcli.runs.identity import Status


def joined_ranks(options: Options) -> AbstractContextManager[Ranks]:
    """Return a context manager that yields this process's `Ranks`, among those that torchrun started, if it did."""

    def print_error(line: str) -> None:
        typer.secho(f"xmlcli: {shown(line)}", file=sys.__stderr__, fg=color_of("red"))

    from xmlcli.distributed.launch import joined

    return joined(options.device, print_error=print_error)


def run_calls(
    options: Options, opened: Opened, calls: list[Call], plan: list[Call], ranks: Ranks | None = None,
    *, keep: bool = True,
) -> Status | None:  # fmt: skip
    """Run the calls that are not current, and show their progress; return what `runner.run` returns."""
    with display("loading", is_first=not opened.workspace.snapshot_path.exists()) as shown:
        from xmlcli.distributed.ranks import ALONE
        from xmlcli.runs import runner

        def on_done(call: Call, seconds: float) -> None:
            shown.on_done(call, seconds)
            if call.stage == "prepare" and session.ranks.is_first:
                shown.note(_described(opened, call))

        session = runner.Session(
            workspace=opened.workspace,
            config=opened.config,
            device=options.device,
            ranks=ranks or ALONE,
            overrides=opened.overrides,
            source=opened.source,
            keep=keep,
            progress=shown.progress,
            on_skip=shown.on_skip,
            on_start=shown.on_start,
            on_done=on_done,
        )
        return runner.run(session, calls, plan)


def _described(opened: Opened, prepare: Call) -> str:
    """Return what was read, in words; a wrong label separator, for example, shows in the number of labels."""
    from xmlcli.storage import artifacts

    prepared = artifacts.read(opened.workspace.artifact(prepare.output), "prepared", made_by=prepare.command)
    about = prepared.json("prepared.json")
    ngrams = f" ({about['char_ngrams']:,} of them character n-grams)" if about["char_ngrams"] else ""
    return (
        f"{about['training_rows']:,} training and {about['test_rows']:,} test documents, {about['features']:,} features"
        f"{ngrams}, {about['labels']:,} labels, {about['labels_per_document']:.2f} a document"
    )


def run_stage(options: Options, stage: str, cycle: int | None = None) -> None:
    """Run one call of the plan. Raises UsageError where the plan has none of that cycle."""
    from xmlcli.runs.plan import find_call, plan

    with joined_ranks(options) as ranks:
        opened = open_run(options)
        calls = plan(opened.config, opened.run)
        run_calls(options, opened, [find_call(calls, stage, cycle)], calls, ranks)
