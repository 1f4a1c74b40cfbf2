"""`xmlcli runs` and `xmlcli runs rm`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from xmlcli.cli.help_text import PanelGroup
from xmlcli.cli.say import tell
from xmlcli.errors import ArtifactError, UsageError
from xmlcli.machine.terminal import shown
from xmlcli.storage.workspace import Workspace, check_name, lock

FIGURES = ("P@1", "PSP@5")
_FOLDERS = ("snapshots", "artifacts", "metrics", "runs", "scratch")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
Root = Annotated[Path, typer.Option(help="Where artifacts/, metrics/, runs/ and scratch/ lie.")]

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None, cls=PanelGroup)


@app.callback()
def runs_cli(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    root: Root = Path(),
) -> None:
    """List the runs: what each was trained on, with which settings, how good it is, its size and age.

    Figures are in percent, on test documents where there are some, else on validation documents.

    \b
    Example: xmlcli runs
             xmlcli runs rm books-2
    """
    if context.invoked_subcommand is not None:
        return
    rows = list(_rows(root))
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    elif rows:
        _print(rows)
    else:
        tell(f"nothing has been trained below {root.resolve()}")


@app.command("rm")
def rm_cli(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Runs, as xmlcli runs lists them.")],
    root: Root = Path(),
) -> None:
    """Remove runs, with everything that was made for them; datasets and exported models stay.

    Example: xmlcli runs rm books-2
    """
    for name in names:
        if name not in _names(root):
            here = ", ".join(_names(root))
            raise UsageError(f"no run {name!r}", where=str(root), expected=f"one of {here}" if here else "a run")
    for name in names:
        with lock(Workspace(root, name)):
            size = _size(root, name)
            for folder in _FOLDERS:
                shutil.rmtree(root / folder / name, ignore_errors=True)
        tell(f"{name}: removed, {size / 2**20:.1f} MiB", "green")


def _names(root: Path) -> list[str]:
    """Return the runs below a root, whole or begun."""
    found = {path.name for above in ("runs", "snapshots", "artifacts") for path in (root / above).glob("*/")}
    return sorted(name for name in found if _is_name(name))


def _is_name(name: str) -> bool:
    try:
        check_name(name, "run")
    except UsageError:
        return False
    return True


def _rows(root: Path) -> Iterator[dict[str, Any]]:
    """Yield what is known of each run, the newest first, those without a complete training last."""
    rows = [_row(root, name) for name in _names(root)]
    yield from sorted(rows, key=lambda row: row["finished"] or "", reverse=True)


def _row(root: Path, name: str) -> dict[str, Any]:
    from xmlcli.runs.results import summaries
    from xmlcli.runs.snapshot import published

    row: dict[str, Any] = {"run": name, "source": None, "profile": None, "overrides": {}, "cycle": None}
    row |= {"split": None, "figures": {}, "bytes": _size(root, name), "finished": None}
    try:
        training = published(Workspace(root, name))
        row |= {"source": training.source or training.run.dataset, "profile": training.run.profile}
        row |= {"overrides": dict(training.overrides), "finished": training.finished}
        last = summaries(training)[-1]
        figures = last.test or last.validation
        row |= {"cycle": last.cycle, "split": "test" if last.test else "validation" if last.validation else None}
        row["figures"] = {metric: round(figures[metric], 2) for metric in FIGURES if metric in figures}
    except (ArtifactError, OSError, IndexError):
        pass  # begun, or damaged: xmlcli plan says more
    return row


def _size(root: Path, name: str) -> int:
    """Return the bytes of a run, a file that several folders link to counted once."""
    sizes = {}
    for folder in _FOLDERS:
        for path in (root / folder / name).rglob("*"):
            if path.is_file():
                status = path.stat()
                sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "source", "settings", *FIGURES, "on", "MiB", "age", box=None, pad_edge=False)
    for place, overflow in ((0, "fold"), (1, "fold"), (2, "fold")):
        table.columns[place].overflow = overflow  # type: ignore[assignment]
    for place in (3, 4, 6, 7):
        table.columns[place].justify = "right"
        table.columns[place].no_wrap = True
    for row in rows:
        settings = [f"profile {row['profile']}"] if row["profile"] else []
        settings += [f"{key}={json.dumps(value)}" for key, value in row["overrides"].items()]
        figures = [f"{row['figures'][metric]:.2f}" if metric in row["figures"] else "" for metric in FIGURES]
        words = (row["run"], _source(row["source"]), ", ".join(settings) or ("" if row["finished"] else "not complete"))
        cells = [*map(shown, words), *figures, row["split"] or "", f"{row['bytes'] / 2**20:.1f}", _age(row["finished"])]
        table.add_row(*map(Text, cells))
    Console().print(table)


def _source(source: str | None) -> str:
    """Return a source as one would type it: relative where it lies below the current folder."""
    if source is None:
        return ""
    path = Path(source)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else source


def _age(finished: str | None) -> str:
    """Return how long ago that was, in its largest unit."""
    if not finished:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(finished)).total_seconds()
    return next((f"{int(seconds // size)} {unit}" for size, unit in _UNITS if seconds >= size), "now")
