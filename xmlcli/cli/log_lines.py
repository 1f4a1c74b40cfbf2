"""Show what the library logs: a line on stderr for each, once in a command."""

from __future__ import annotations

import logging

import typer


class LogLines(logging.Handler):
    """Prints warnings in yellow, without the control characters that a file's name or content may hold."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        text = "".join(c if c.isprintable() else "\ufffd" for c in record.getMessage())
        if text not in self._shown:
            self._shown.add(text)
            typer.secho(f"warning: {text}", err=True, fg="yellow")


def show_log() -> None:
    """Print what the library logs from now on."""
    logging.getLogger("xmlcli").handlers = [LogLines()]
