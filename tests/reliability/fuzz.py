"""Give every reader inputs that are nearly right, and see that each is read, or refused as the program refuses.

Readers run in child processes. Found is whatever else than a result or an XmlcliError comes of an input: a traceback, a
crash, more than 5 seconds of processor time, waiting for anything, or more memory than 10 times the input plus 300 MiB.
`readers.py` lists the readers and says what must hold of what they return. A case is READER/NUMBER.
"""

from __future__ import annotations

import mmap
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from driving import (
    HANG_SECONDS,
    Findings,
    as_usual,
    draw,
    load_program,
    parser,
    run,
    settings,
    temporary,
    until_stopped,
    write_demo,
)

if TYPE_CHECKING:
    from readers import Files, Reader

FREE_BYTES, TIMES = 300 << 20, 10
"""Memory that reading an input may take: so much, and so many times its size."""
_CHUNK = 5000
_STUCK_SECONDS = 60.0
_POLL_SECONDS = 0.05
_ADDRESSES = 16 << 30
_NUMBER, _REFUSED = slice(0, 8), slice(8, 16)
_MEMORY_FOLDER = Path("/dev/shm")


class Child:
    """A process that gives a reader one input after the other, and says in shared memory which one it is at."""

    def __init__(self, name: str, reader: Reader, numbers: range, seed: int) -> None:
        self._shared, self._said = mmap.mmap(-1, 16), tempfile.TemporaryFile()  # noqa: SIM115  closed by wait
        self._scratch = Path(tempfile.mkdtemp(dir=_MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else None))
        self._set(_NUMBER, numbers.start)
        self._pid = os.fork()
        if not self._pid:
            as_usual()
            try:
                self._read_all(name, reader, numbers, seed)
                os._exit(0)
            except BaseException as error:
                self._said.write(f"the driver itself fails: {error!r}".encode())
                self._said.flush()
            finally:
                os._exit(1)

    def wait(self) -> tuple[int, int, str | None]:
        """Return the number of the last input, how many were refused, and what was found at the last, if anything."""
        number, since, stuck = -1, time.monotonic(), False
        while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if self._get(_NUMBER) != number:
                number, since = self._get(_NUMBER), time.monotonic()
            if time.monotonic() - since > _STUCK_SECONDS:
                stuck = True
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        shutil.rmtree(self._scratch, ignore_errors=True)  # the child may have crashed
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self._said.close()
        found = said or None
        if stuck:
            found = f"stuck: {_STUCK_SECONDS:.0f} s without working"
        elif code == -signal.SIGPROF:
            found = f"hang: more than {HANG_SECONDS:.0f} s of processor time"
        elif code < 0:
            found = f"crash: {signal.Signals(-code).name}"
        elif code and not found:
            found = f"exit code {code}"
        return self._get(_NUMBER), self._get(_REFUSED), found

    def _get(self, part: slice) -> int:
        return int.from_bytes(self._shared[part], "little")

    def _set(self, part: slice, value: int) -> None:
        self._shared[part] = value.to_bytes(8, "little")

    def _read_all(self, name: str, reader: Reader, numbers: range, seed: int) -> None:
        """Read until all is read or one thing is found."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        warnings.simplefilter("ignore")
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
        for number in numbers:
            self._set(_NUMBER, number)
            if found := self._read_one(reader, reader.garbled(draw(seed, name, number)), self._scratch):
                self._said.write(found.encode(errors="replace"))
                self._said.flush()
                return

    def _read_one(self, reader: Reader, files: Files, scratch: Path) -> str | None:
        """Return what is found."""
        from xmlcli.errors import XmlcliError

        folder = scratch / "input"
        write_files(files, folder)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
        try:
            reader.read(folder)
        except XmlcliError:
            self._set(_REFUSED, self._get(_REFUSED) + 1)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            shutil.rmtree(folder)
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
        if taken > FREE_BYTES + TIMES * sum(map(len, files.values())):
            return f"memory: {taken >> 20} MiB"
        return None


def write_files(files: Files, folder: Path) -> None:
    """Write the files of an input into a new folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def fuzz(name: str, reader: Reader, count: int, seed: int, findings: Findings) -> None:
    """Give a reader `count` inputs."""
    for start in range(0, count, _CHUNK):
        numbers = range(start, min(start + _CHUNK, count))
        while numbers:
            last, refused, found = Child(name, reader, numbers, seed).wait()
            findings.count(name, "inputs", last + 1 - numbers.start)
            findings.count(name, "refused", refused)
            if found:
                findings.add(name, f"{name}/{last}", found)
            numbers = range(last + 1, numbers.stop)


def repeat(name: str, reader: Reader, number: int, seed: int) -> None:
    """Write one input where it can be looked at, and read it in this process."""
    folder = Path(tempfile.mkdtemp(prefix="xmlcli-fuzz-"))
    write_files(reader.garbled(draw(seed, name, number)), folder)
    print(f"the input is in {folder}", file=sys.stderr)
    reader.read(folder)


def chosen(readers: dict[str, Reader], names: list[str] | None) -> Iterator[str]:
    """Yield the readers asked for, all by default."""
    for name in names or readers:
        if name not in readers:
            raise SystemExit(f"no reader {name!r}; there are {', '.join(readers)}")
        yield name


def main() -> int:
    made = parser(__doc__, 100_000, "inputs for each reader")
    made.add_argument("--reader", action="append", help="repeats; default: all")
    options = made.parse_args()
    load_program()
    from readers import make_readers  # NumPy starts no threads of its own now

    findings = Findings("fuzz", options.seed)
    with temporary("fuzz") as root, until_stopped():
        words = ["--dataset", str(write_demo(root / "demo")), "--root", str(root), *settings()]
        for command in (("train", *words), ("export", *words, str(root / "model"))):
            if problem := run(*command, folder=root).problem():
                raise SystemExit(f"{command[0]} fails: {problem}")
        readers = make_readers(root)
        if options.only:
            name, _, number = options.only.rpartition("/")
            repeat(name, readers[name], int(number), options.seed)
            return 0
        for name in chosen(readers, options.reader):
            started = time.monotonic()
            fuzz(name, readers[name], options.count, options.seed, findings)
            print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return findings.finish()


if __name__ == "__main__":
    sys.exit(main())
