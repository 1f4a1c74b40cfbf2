"""Show a run on stderr: a line for each call that has ended, and on a terminal what is going on now."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xmlcli.cli.say import loudness, tell
from xmlcli.machine.terminal import shown
from xmlcli.stages.call import Call

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_FIRST = "no output yet"
_LOGGER = logging.getLogger("xmlcli")


class Display(logging.Handler):
    """Shows what a `Session` reports; on a terminal the running call has a bar, with an amount while it counts.

    It also listens to the log, for that inner loops are compiled.
    """

    def __init__(self, *, live: bool, is_first: bool = False) -> None:
        """`live`: stderr is a terminal; `is_first`: nothing of the run was there before, which is then no reason."""
        super().__init__(logging.INFO)
        self._live, self._is_first = live, is_first
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self._name, self._reason = "", ""
        self._compiling = False

    def on_skip(self, call: Call, reason: str) -> None:
        """Show that a call is current."""
        self.close()
        self._line(call, reason, "bright_black")

    def on_start(self, call: Call, reason: str) -> None:
        """Show that a call begins, and remember why."""
        self._name = call.name
        self._reason = "" if self._is_first and reason == _FIRST else f" ({reason})"
        self.wait(call.name)

    def wait(self, what: str) -> None:
        """Show on a terminal that something goes on of which no amount is known."""
        self._show(what, 0, None)

    def progress(self, label: str, done: int, total: int) -> None:
        """Show on a terminal how far the running call is; work that has ended has no amount any more."""
        if done < total:
            self._show(f"{self._name}: {label}" if self._name else label, done, total)
        else:
            self.wait(self._name or "working")

    def on_done(self, call: Call, seconds: float) -> None:
        """Show that a call has finished."""
        self.close()
        self._line(call, f"{seconds:.1f} s{self._reason}", "green")
        self._name = ""

    def note(self, text: str) -> None:
        """Say more of the call that has finished, under its line."""
        tell(f"{'' if self._live else ' ' * 9}{'':<16} {text}")

    def emit(self, record: logging.LogRecord) -> None:
        """Say that inner loops are compiled, which takes long: on a terminal while it lasts, in a log once."""
        if record.name != "xmlcli.kernels.compiled":
            return
        if not self._live and not self._compiling:
            tell(f"{'':<26}{record.getMessage()}")
        self._compiling = True
        self.wait(f"{self._name}: {record.getMessage()}" if self._name else record.getMessage())

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._task = None, None

    def _show(self, text: str, done: int, total: int | None) -> None:
        if not self._live:
            return
        if self._bars is None or self._task is None:
            self._bars = _bars()
            self._task = self._bars.add_task(shown(text), total=total, completed=done)
            self._bars.start()
        else:
            self._bars.update(self._task, description=shown(text), completed=done)
            self._bars.tasks[0].total = total

    def _line(self, call: Call, text: str, color: str) -> None:
        stamp = "" if self._live else time.strftime("%H:%M:%S ")
        tell(f"{stamp}{call.name:<16} {text}", color)


@contextmanager
def display(what: str = "", *, is_first: bool = False) -> Iterator[Display]:
    """Yield a `Display`, live where stderr is a terminal, whose bar is off the screen when the block ends.

    `what`: shown at once, until a call begins. `is_first`: as of `Display`.
    """
    showing = Display(live=sys.stderr.isatty() and not loudness.quiet, is_first=is_first)
    if what:
        showing.wait(what)
    _LOGGER.addHandler(showing)
    try:
        yield showing
    finally:
        _LOGGER.removeHandler(showing)
        showing.close()


def _bars() -> Progress:
    """Return bars with amount, rate and time left where they are known, on stderr, that vanish when they stop."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class AmountColumn(TextColumn):
        """Amount, amount a second, and seconds left."""

        def render(self, task: Task) -> Text:
            if task.total is None:
                return Text("")
            left = task.time_remaining
            parts = [f"{task.completed:,.0f}/{task.total:,.0f}", f"{task.speed:,.0f}/s" if task.speed else ""]
            parts.append(f"{left:,.0f} s left" if left is not None else "")
            return Text(" ".join(filter(None, parts)), style="progress.remaining")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        AmountColumn(""),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
