"""What the drivers share: commands in processes that may be killed, what is wrong with how one ended, and the summary.

A command runs in a process forked from the driver, which has loaded the program already, so that hundreds of kills or
damages take minutes. It is a process like any other: it can be killed, crash, or use up memory without the driver.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).parents[2]
HANG_SECONDS = 5.0
"""Of processor time: the machine may be busy with other work."""
_POLL_SECONDS = 0.005
_DIE_WITH_PARENT = 1  # of prctl
_PRINTED = 20
_TRAINING, _TEST = 600, 200

SMALL = {
    "cycles": 1,
    "prepare.max_documents": 600,
    "prepare.char_ngrams": "null",
    "model.dim": 16,
    "proxy.epochs": 1,
    "clf.min_documents": 2000,
    "clf.max_epochs": 3,
    "clf.batch_size": 64,
    "clf.min_batches": 8,
    "clf.checkpoint_seconds": 0.05,
    "evaluate.top_k": 10,
}
"""Settings under which a training takes seconds and still saves several checkpoints."""


def settings(**more: object) -> list[str]:
    """Return the words that give `SMALL`, with other values for some keys, dots written as two underscores."""
    values = SMALL | {key.replace("__", "."): value for key, value in more.items()}
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def write_demo(folder: Path) -> Path:
    """Write the first documents of demo, without its oracle, which takes ten times as long as all else; return it."""
    from xmlcli.datasets.synthetic import demo

    names = demo.label_names()
    folder.mkdir(parents=True)
    for split, documents, most in (("train", demo.make_train(), _TRAINING), ("test", demo.make_test(), _TEST)):
        assert documents.texts is not None
        rows = zip(documents.texts[:most], documents.Y, strict=False)
        lines = [json.dumps({"text": text, "labels": [names[i] for i in labels.indices]}) for text, labels in rows]
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def load_program() -> None:
    """Import and compile all that commands use, by a training in this process, which starts no thread."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a process with threads cannot be forked
    os.environ |= {"XMLCLI_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    sys.path.insert(0, str(PROJECT))
    import safetensors.torch  # noqa: F401  what the commands below do not load

    import xmlcli.runs.damage
    import xmlcli.serving.model_folder  # noqa: F401
    from xmlcli.cli import main

    with temporary("load") as root:
        run = ["--dataset", str(write_demo(root / "demo")), "--root", str(root), "--device", "cpu", *settings()]
        commands = [[name, *run] for name in ("train", "evaluate", "plan")] + [["predict", *run, "--text", "gabo belu"]]
        model = str(root / "model")
        for words in (*commands, ["export", *run, model], ["predict", "--model", model, "--text", "gabo belu"]):
            printed, sys.argv = io.StringIO(), ["xmlcli", *words]
            try:
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    main()
            except SystemExit as stop:
                if stop.code:
                    raise SystemExit(f"{' '.join(words)} fails\n{printed.getvalue()}") from None
    os.chdir(PROJECT)
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, below 0 the signal that ended it, what it printed, and processor seconds."""

    words: Sequence[str]
    code: int
    out: str
    err: str
    seconds: float

    def problem(self, *allowed: int) -> str | None:
        """Return what is wrong; nothing where the exit code is one of those allowed, and an error is one line."""
        last = self.err.strip().splitlines()[-1:] or [""]
        if self.code < 0:
            return f"crash: {signal.Signals(-self.code).name}"
        if "Traceback (most recent call last)" in self.err:
            return f"traceback: {last[0][:200]}"
        if self.code not in (allowed or (0,)):
            return f"exit code {self.code}: {last[0][:300]}"
        if self.code == 2 and not last[0].startswith("xmlcli: "):
            return f"an error without its line: {last[0][:200]}"
        if self.seconds > HANG_SECONDS and self.words[0] not in ("train", "evaluate"):
            return f"hang: {self.seconds:.1f} s"
        return None


class Command:
    """A command of xmlcli that runs in a process of its own; `before` is called there first."""

    def __init__(self, *words: str, folder: Path, before: Callable[[], object] = lambda: None) -> None:
        self.words = words
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  closed by wait
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if not self._pid:
            _child(words, folder, before, self._out.fileno(), self._err.fileno())

    def kill(self) -> None:
        """End it as `kill -9` does."""
        os.kill(self._pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, seconds: float = 900.0) -> Ended:
        """Wait until it has ended, and kill it where it has not after so many seconds of wall time."""
        deadline = time.monotonic() + seconds
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        timed_out = not self.has_ended()
        if timed_out:
            self.kill()
        _, status, usage = os.wait4(self._pid, 0)
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        used = seconds if timed_out else usage.ru_utime + usage.ru_stime
        return Ended(self.words, os.waitstatus_to_exitcode(status), texts[0], texts[1], used)


def run(*words: str, folder: Path, before: Callable[[], object] = lambda: None) -> Ended:
    """Run a command to its end."""
    return Command(*words, folder=folder, before=before).wait()


def _child(words: Sequence[str], folder: Path, before: Callable[[], object], out: int, err: int) -> None:
    """Be the command; never return."""
    code = 1
    try:
        as_usual()
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(folder)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        sys.argv = ["xmlcli", *words]
        from xmlcli.cli import main

        before()
        main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def hashes(root: Path, *folders: str) -> dict[str, str]:
    """Return the sha256 of every file below some folders of a root, by its path there."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def leftovers(root: Path) -> list[str]:
    """Return the temporary files and folders below a root."""
    names = [path for path in root.rglob(".*") if path.name.endswith((".tmp", ".old")) or ".tmp." in path.name]
    return [str(path.relative_to(root)) for path in names]


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with the times of its files; files that are one there are one here too."""
    shutil.rmtree(target, ignore_errors=True)
    first: dict[int, Path] = {}
    for path in sorted(source.rglob("*")):
        copied = target / path.relative_to(source)
        if path.is_dir():
            copied.mkdir(parents=True, exist_ok=True)
        elif (inode := path.stat().st_ino) in first:
            os.link(first[inode], copied)
        else:
            copied.parent.mkdir(parents=True, exist_ok=True)
            first[inode] = Path(shutil.copy2(path, copied))


class Findings:
    """Counts what was tried and what was found; a finding is printed at once, with the command that repeats it."""

    def __init__(self, driver: str, seed: int) -> None:
        self._driver, self._seed = driver, seed
        self._rows: dict[str, Counter[str]] = {}
        self._printed = 0
        self._started = time.monotonic()
        self.total = 0

    def count(self, row: str, what: str, number: int = 1) -> None:
        """Count something that was tried, or that came of it."""
        self._rows.setdefault(row, Counter())[what] += number

    def add(self, row: str, case: object, problem: str) -> None:
        """Count a problem, and print it with the way to repeat its case."""
        self.count(row, "findings")
        self.total += 1
        self._printed += 1
        if self._printed <= _PRINTED:
            print(f"FOUND in {row}, case {case}: {problem}", file=sys.stderr)
            print(
                f'  again: make {self._driver} ARGS="--seed {self._seed} --only {case!r}"', file=sys.stderr, flush=True
            )

    def finish(self) -> int:
        """Print one table, and return the exit code: 1 where anything was found."""
        columns = list(dict.fromkeys(what for row in self._rows.values() for what in row if what != "findings"))
        head = ["", *columns, "findings"]
        lines = [[name, *(f"{row[what]:,}" for what in head[1:])] for name, row in self._rows.items()]
        print("| " + " | ".join(head) + " |")
        print("|---" * len(head) + "|")
        for line in lines:
            print("| " + " | ".join(line) + " |")
        minutes = (time.monotonic() - self._started) / 60
        print(f"\n{date.today()}, make {self._driver}, seed {self._seed}: {self.total} findings, {minutes:.1f} minutes")
        return 1 if self.total else 0


def parser(doc: str | None, count: int, unit: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all drivers share."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--count", type=int, default=count, help=f"{unit}; default {count:,}")
    made.add_argument("--seed", type=int, default=1, help="another seed draws other cases")
    made.add_argument("--only", metavar="CASE", help="repeat one case, as a finding names it")
    return made


@contextlib.contextmanager
def temporary(name: str) -> Iterator[Path]:
    """Yield an empty folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix=f"xmlcli-{name}-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def until_stopped() -> Iterator[None]:
    """Let Ctrl-C or SIGTERM end the block, so that what was found until then is shown."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; the table is of what was done", file=sys.stderr)
    finally:
        as_usual()


def as_usual() -> None:
    """Let signals do in this process what they do by default."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def draw(seed: int, *case: object) -> random.Random:
    """Return the random numbers of one case, the same in every run."""
    return random.Random(" ".join(map(str, (seed, *case))))
