"""Help in panels of plain text: options and commands under the heading they belong to. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from typer.core import TyperCommand, TyperGroup


class HelpFormatter(Protocol):
    """What is used of Click's formatter, which typer carries inside."""

    width: int

    def section(self, name: str) -> Any:
        """Return a context manager, in which what is written stands under a heading."""

    def write_dl(self, rows: Any) -> None:
        """Write names with what they mean."""


OPTIONS, COMMANDS = "Options", "Commands"


class PanelCommand(TyperCommand):
    """A command whose options stand under the panels that they name; those that name none come first."""

    def format_options(self, ctx: Any, formatter: HelpFormatter) -> None:
        """Write the options, a section for each panel."""
        _write_options(self, ctx, formatter)


class PanelGroup(TyperGroup):
    """A group whose commands stand under the panels that they name."""

    def format_options(self, ctx: Any, formatter: HelpFormatter) -> None:
        """Write the options and then the commands, a section for each panel."""
        _write_options(self, ctx, formatter)
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                about = command.get_short_help_str(formatter.width - 20)
                rows.append((getattr(command, "rich_help_panel", None) or COMMANDS, (name, about)))
        _write(rows, formatter)


def _write_options(command: TyperCommand | TyperGroup, ctx: Any, formatter: HelpFormatter) -> None:
    rows = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            usual = "Arguments" if parameter.param_type_name == "argument" else OPTIONS
            rows.append((getattr(parameter, "rich_help_panel", None) or usual, record))
    _write(rows, formatter)


def _write(rows: Iterable[tuple[str, tuple[str, str]]], formatter: HelpFormatter) -> None:
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, row in rows:
        panels.setdefault(panel if isinstance(panel, str) else OPTIONS, []).append(row)
    for panel, records in panels.items():
        with formatter.section(panel):
            formatter.write_dl(records)
