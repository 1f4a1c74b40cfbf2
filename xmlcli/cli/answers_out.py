"""Where answers go: whole lines, whatever ends the command, and no file left half written."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from xmlcli.errors import UsageError

STREAM = "-"
"""Standard output."""
_PATIENCE = 2.0  # seconds that a write may still take after a signal: the reader of a pipe may have stopped reading
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}

Write: TypeAlias = Callable[[bytes | memoryview], None]


class Stopped(KeyboardInterrupt):
    """A signal asks for the end.

    Attributes:
        word: what happened.
        exit_code: 128 + the signal's number, as shells have it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.word = _WORDS[signal.Signals(number)]
        self.exit_code = 128 + number


class Stopping:
    """Turns Ctrl-C, SIGTERM and SIGHUP into `Stopped`, never in the middle of a line that is being written."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._writing, self._over = False, False

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Raise `Stopped`, once; a write that is going on may end before, unless that takes long."""
        if self._over:
            return
        is_first, self._first = self._first is None, self._first or number
        if is_first and self._writing:
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
            return
        self._over = True
        raise Stopped(self._first)

    def write(self, descriptor: int, content: bytes | memoryview, where: str) -> None:
        """Write all of the content. Raises OSError that names `where`, and `Stopped` at the end where it is due."""
        rest = memoryview(content)
        self._writing = True
        with named(where):
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        self._writing = False
        if self._first is not None:
            self.on_signal(self._first, None)


@contextmanager
def stopping() -> Iterator[Stopping]:
    """Yield a `Stopping` that is told of signals while the block runs; one that was ignored (nohup) still is."""
    found, before = Stopping(), {}
    for number in (*_WORDS, signal.SIGALRM):
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, found.on_signal)
    try:
        yield found
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def named(where: str) -> Iterator[None]:
    """Give an OSError of the block, such as that of a full disk, the name of the file, which it may lack."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None or isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, where) from error


def check_output(output: str, form: str) -> None:
    """Raise UsageError where answers of that format cannot be written, before any is made."""
    from xmlcli.machine.packages import import_optional
    from xmlcli.serving.answers import AT_END, XLSX

    if form == XLSX:
        import_optional("openpyxl", "excel", "writing Excel", "or write .csv, which Excel opens")
    what = "a workbook" if form == XLSX else "a matrix"
    if output == STREAM:
        if form in AT_END:
            raise UsageError(f"{what} cannot be written to standard output", remedy=f"add --output FILE.{form}")
        if sys.stdout is None:
            raise UsageError("standard output is closed", remedy="add --output FILE")
    elif form in AT_END and not _is_replaced(Path(output)):
        raise UsageError(f"{what} is written to a plain file", where=output, expected=f"FILE.{form}")


@contextmanager
def opened_output(output: str, signals: Stopping) -> Iterator[Write]:
    """Yield a function that writes bytes to a path or `STREAM`. A plain file is replaced when the block ends well."""
    from xmlcli.storage.atomic import atomic_file

    if output == STREAM:
        descriptor = sys.stdout.fileno()
        yield lambda content: signals.write(descriptor, content, "standard output")
        return
    path = Path(output)
    with ExitStack() as stack:
        try:
            file = (stack.enter_context(atomic_file(path)) if _is_replaced(path) else path).open("wb", buffering=0)
        except OSError as error:
            raise UsageError("cannot write there", where=output, found=error.strerror) from error
        with file:
            yield lambda content: signals.write(file.fileno(), content, output)
            if _is_replaced(path):
                with named(output):
                    os.fsync(file.fileno())


def _is_replaced(path: Path) -> bool:
    """Whether a new file takes the path's place; into a pipe or a device answers are written."""
    return path.is_file() or not path.exists()
