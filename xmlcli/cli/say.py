"""Print lines, in which whatever comes from data is made safe to show."""

from __future__ import annotations

import typer

from xmlcli.machine.terminal import shown


def say(text: str) -> None:
    """Print one line of a command's result."""
    typer.echo(shown(text))


def tell(text: str, color: str | None = None) -> None:
    """Print one line beside the result, on stderr."""
    typer.secho(shown(text), err=True, fg=color)
