"""Print lines, in which whatever comes from data is made safe to show; how much is said, and in which colors."""

from __future__ import annotations

import os
from dataclasses import dataclass

import typer

from xmlcli.machine.terminal import shown

_NEEDED = ("red", "yellow")
"""Colors of lines that are said even where little is to be said: errors and warnings."""


@dataclass
class Loudness:
    """How much commands say beside their results.

    Attributes:
        quiet: only errors and warnings.
        verbose: what the library logs too.
    """

    quiet: bool = False
    verbose: bool = False


loudness = Loudness()
"""Of this process; the command line sets it before a command begins."""


def say(text: str) -> None:
    """Print one line of a command's result."""
    typer.echo(shown(text))


def tell(text: str, color: str | None = None) -> None:
    """Print one line beside the result, on stderr; what is neither red nor yellow is left out where one is quiet."""
    if not loudness.quiet or color in _NEEDED:
        typer.secho(shown(text), err=True, fg=color_of(color))


def color_of(color: str | None) -> str | None:
    """Return a color, or None where the environment variable NO_COLOR is set."""
    return None if os.environ.get("NO_COLOR") else color
