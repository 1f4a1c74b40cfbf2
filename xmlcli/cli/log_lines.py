"""Show what the library logs: a line on stderr for each, once in a command."""

from __future__ import annotations

import logging

from xmlcli.cli.say import loudness, tell


class LogLines(logging.Handler):
    """Prints warnings in yellow, and where one is verbose what else is logged, without control characters."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line; a warning once."""
        text = "".join(c if c.isprintable() else "\ufffd" for c in record.getMessage())
        if record.levelno < logging.WARNING:
            tell(f"{record.name}: {text}", "bright_black")
        elif text not in self._shown:
            self._shown.add(text)
            tell(f"warning: {text}", "yellow")


def show_log() -> None:
    """Print what the library logs from now on."""
    logger = logging.getLogger("xmlcli")
    logger.setLevel(logging.INFO)  # the display listens too
    logger.handlers = [LogLines(logging.INFO if loudness.verbose else logging.WARNING)]
