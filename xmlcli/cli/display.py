"""Show a run on stderr: a line for each call, and on a terminal a progress bar for work of over two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xmlcli.cli.say import tell
from xmlcli.machine.terminal import shown
from xmlcli.stages.call import Call

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SHOW_AFTER_SECONDS = 2.0


class Display:
    """Shows what a `Session` reports; between the start and the end of a call it may have a live bar."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._call: Call | None = None
        self._reason = ""
        self._started = time.monotonic()

    def on_skip(self, call: Call, reason: str) -> None:
        """Show that a call is current."""
        self.close()
        self._line(call, reason, "bright_black")

    def on_start(self, call: Call, reason: str) -> None:
        """Note that a call begins, and why."""
        self.close()
        self._call, self._reason, self._started = call, reason, time.monotonic()

    def progress(self, label: str, done: int, total: int) -> None:
        """Show how far the running call is, if stderr is a terminal and the call takes long."""
        if not self._live or time.monotonic() - self._started < SHOW_AFTER_SECONDS:
            return
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        name = self._call.name if self._call else ""
        if label not in self._tasks:
            for task in self._tasks.values():
                self._bars.remove_task(task)
            text = shown(f"{name}: {label}" if name else label)
            self._tasks = {label: self._bars.add_task(text, total=total, completed=done)}
        self._bars.update(self._tasks[label], completed=done, total=total)

    def on_done(self, call: Call, seconds: float) -> None:
        """Show that a call has finished."""
        self.close()
        self._line(call, f"{seconds:.1f} s ({self._reason})", "green")

    def note(self, text: str) -> None:
        """Say more of the call that has finished, under its line."""
        tell(f"{'' if self._live else ' ' * 9}{'':<16} {text}")

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks = None, {}

    def _line(self, call: Call, text: str, color: str) -> None:
        stamp = "" if self._live else time.strftime("%H:%M:%S ")
        tell(f"{stamp}{call.name:<16} {text}", color)


@contextmanager
def display() -> Iterator[Display]:
    """Yield a `Display`, live where stderr is a terminal, whose bar is off the screen when the block ends."""
    showing = Display(live=sys.stderr.isatty())
    try:
        yield showing
    finally:
        showing.close()


def _bars() -> Progress:
    """Return bars with amount, rate and time left, on stderr, that vanish when they stop."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class RateColumn(TextColumn):
        """Amount a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(""),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
