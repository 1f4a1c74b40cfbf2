"""`xmlcli plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmlcli.cli.display import display
from xmlcli.cli.options import Options, for_run, open_run, with_options
from xmlcli.cli.say import say, tell
from xmlcli.config.load import load_config, read_chain
from xmlcli.config.pipeline_files import find_pipeline
from xmlcli.errors import UsageError
from xmlcli.stages.call import RunId
from xmlcli.storage.workspace import check_name

TABLE = Path("params.yaml")


@with_options("device")
def plan_cli(
    options: Options,
    add: Annotated[str | None, typer.Option(metavar="NAME", help="Add a dataset to what dvc repro runs.")] = None,
    remove: Annotated[str | None, typer.Option(metavar="NAME", help="Take a dataset out of it.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write params.yaml, the table that dvc.yaml reads.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Hash every file; exit code 1 if one is damaged.")] = False,
) -> None:
    """Show what would run and why, and keep the table of runs that dvc repro reads.

    Without --dataset all runs of that table are shown. After changing `cycles` in a pipeline file, --write it anew.

    --verify compares every file of every artifact with its hash and shows what is wrong. The exit code is 1 where a
    file is damaged or cannot be read; train makes damaged ones again.

    Example: xmlcli plan --add eurlex --write
    """
    if verify and (add or remove or write):
        raise UsageError("--verify goes without --add, --remove and --write")
    if add or remove or write:
        edit_table(options, add=add, remove=remove, write=write)
    elif not show(options, verify=verify):
        raise typer.Exit(1)


def show(options: Options, *, verify: bool = False) -> bool:
    """Print each call of one run, or of all runs of the table, with the reason why it would run.

    `verify`: compare every file with its hash too. Returns whether nothing was found wrong.
    """
    from xmlcli.runs import dvc_table

    runs = [RunId(options.dataset, options.profile, options.name)] if options.dataset else dvc_table.read_runs(TABLE)
    if not runs:
        raise UsageError("no run to plan", where=str(TABLE), remedy="add --dataset NAME")
    sound = [_show_run(for_run(options, run), verify=verify) for run in runs]
    if TABLE.exists() and not dvc_table.is_written(TABLE, _table(dvc_table.read_runs(TABLE))):
        tell(f"{TABLE} is older than the pipeline files: xmlcli plan --write", "yellow")
    return all(sound)


def edit_table(options: Options, *, add: str | None, remove: str | None, write: bool) -> None:
    """Print the runs of the table after adding or removing one, and write it where that is asked for."""
    from xmlcli.runs import dvc_table

    runs = dvc_table.read_runs(TABLE)
    if add:
        run = RunId(add, options.profile, options.name)
        _check_addable(run, options.root)
        runs = [*(r for r in runs if r.name != run.name), run]
    if remove:
        gone = RunId(remove, options.profile, options.name).name
        if gone not in [r.name for r in runs]:
            names = ", ".join(r.name for r in runs)
            raise UsageError(f"no run {gone!r} in the table", where=str(TABLE), expected=f"one of {names}")
        runs = [r for r in runs if r.name != gone]
    table = _table(runs)
    for run in runs:
        say(f"{run.name}: {sum(row['run'] == run.name for row in table['cycles'].values())} cycles")
    if write:
        dvc_table.write(TABLE, table)
        tell(f"{TABLE} written; dvc repro runs it")
    else:
        tell("nothing written; add --write")


def _show_run(options: Options, *, verify: bool) -> bool:
    """Print the calls of a run, under each what is wrong with its output; return whether nothing is."""
    from xmlcli.runs import damage, identity, runner
    from xmlcli.runs.plan import plan

    opened = open_run(options)
    calls = plan(opened.config, opened.run)
    with display() as shown:
        found = damage.verify_run(opened.workspace, calls, shown.progress) if verify else {}
        session = runner.Session(opened.workspace, opened.config, progress=shown.progress)
        statuses = identity.status(session, calls)
    for status in statuses:
        mark = "current" if status.current else "run"
        why = "" if status.current else status.reason
        say(f"{status.call.dvc_name:<28} {mark:<8} {why}".rstrip())
        for line in found.get(status.call.name, []):
            say(f"    {line}")
    if verify:
        _tell_verified(opened.run, found)
    return not found


def _tell_verified(run: RunId, found: dict[str, list[str]]) -> None:
    if found:
        remedy = f"xmlcli train {run.options}"
        tell(f"{run.name}: {', '.join(found)} damaged or unreadable; {remedy}", "red")
    else:
        tell(f"{run.name}: every file is as its manifest says")


def _table(runs: list[RunId]) -> dict[str, dict[str, dict[str, object]]]:
    from xmlcli.runs import dvc_table

    described = []
    for run in runs:
        path = find_pipeline(run.dataset_name, run.profile)
        for file in read_chain(path):
            if file.path.is_absolute():
                raise UsageError(
                    f"pipelines/ here has no {file.path.name}, and DVC reads no other folder",
                    remedy="go to the project's folder, or copy the file there",
                )
        described.append((run, load_config(path)))
    return dvc_table.table(described)


def _check_addable(run: RunId, root: Path) -> None:
    """Raise UsageError or DatasetError unless the dataset is here, or known and only absent, which is told."""
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.datasets.published.catalogue import find_known
    from xmlcli.errors import DatasetError

    if run.dataset.lower() != run.dataset_name:
        raise UsageError(
            f"a path cannot go into {TABLE}: other machines have other paths",
            found=run.dataset,
            remedy="put or link the folder under data/, or name its parent in XMLCLI_DATA, and add it by name",
        )
    check_name(run.name, "dataset" if run.called is None else "run")
    try:
        locate(run.dataset, data_folders(root))
    except DatasetError as error:
        if find_known(run.dataset) is None:
            raise
        tell(f"warning: {' '.join(str(error).split())}", "yellow")
