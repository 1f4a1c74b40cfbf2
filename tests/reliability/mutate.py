"""Would the tests notice? Make small changes to the program, one at a time, and run the tests of the module.

    python tests/reliability/mutate.py                              # all changes, two at a time
    python tests/reliability/mutate.py --only xmlcli/kernels        # those whose file, or new text, holds this
    python tests/reliability/mutate.py --workers 1 --show           # what the tests printed, too
    python tests/reliability/mutate.py --folder ../mutate           # compiles once, however often it runs

`changes.diff` beside this file lists the changes, `test_mutate.py` checks that each of them can still be made. They are
made in copies of the tree, in a folder for temporary files. A change is noticed when a test fails or takes far longer
than before. The exit code is 1 where fewer than 95 of 100 are noticed, and 2 where the list is stale or the tests fail
without any change.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from reliability.changes import LIST, Change, StaleListError, read_changes

PROJECT = Path(__file__).parents[2]
NEEDED = ("xmlcli", "tests", "pipelines", "benchmarks", "pyproject.toml", "README.md", "dvc.yaml", "params.yaml")
ENOUGH = 0.95
KERNELS = "xmlcli/kernels/"
IMPORTED = (
    "numba", "scipy.sparse", "scipy.linalg", "scipy.special", "scipy.optimize", "torch", "torch.nn.functional",
    "sklearn.base", "sklearn.linear_model", "sklearn.preprocessing", "safetensors.numpy", "safetensors.torch", "orjson",
    "yaml", "typer", "rich.table", "hypothesis.extra.numpy", "pytest",
)  # fmt: skip
"""What takes longer to import than most tests take, and is nothing of the program."""
_LEAST_SECONDS, _TIMES = 60.0, 5  # a run may take so long, and so many times as long as without a change


@dataclass(frozen=True)
class Outcome:
    """What the tests made of a change."""

    change: Change
    noticed: bool
    seconds: float
    printed: str


class Copy:
    """A copy of the tree, in which one change at a time is made."""

    def __init__(self, source: Path, root: Path, imported: Sequence[str] = IMPORTED) -> None:
        self.root = root
        self._cache = root.with_name(f"{root.name}.numba")
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        for name in NEEDED:
            if (source / name).is_dir():
                shutil.copytree(source / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (source / name).exists():
                shutil.copy2(source / name, root / name)
        command = [sys.executable, str(Path(__file__).with_name("nursery.py")), *imported]
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._nursery = subprocess.Popen(command, env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._made = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._nursery.stdout is not None
        for line in self._nursery.stdout:
            self._answers.put(line)
        self._answers.put("-1")

    def seconds_unchanged(self, tests: Sequence[str]) -> float:
        """Return how long tests take that pass without a change. Raises StaleListError where they do not pass."""
        code, seconds, printed = self._run(tests, None, self._cache)
        if code:
            raise StaleListError(f"{' '.join(tests)} fail without a change:\n{printed}")
        return seconds

    def outcome(self, change: Change, usual_seconds: float) -> Outcome:
        """Make a change, run its tests, and take it back."""
        path = self.root / change.path
        text, times = path.read_text(encoding="utf-8"), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        limit, cache = max(_LEAST_SECONDS, _TIMES * usual_seconds), self._cache
        if change.path.startswith(KERNELS):
            cache, limit = self._cache_without(path.stem), 3 * limit
        try:
            path.write_text(change.made(text), encoding="utf-8")
            self._made += 1
            os.utime(path, ns=(times[0], times[1] + self._made * 10**9))  # or Python could take it for another text
            code, seconds, printed = self._run(change.tests, limit, cache)
        finally:
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=times)
        return Outcome(change, code != 0, seconds, printed)

    def _cache_without(self, module: str) -> Path:
        """Return a cache of compiled kernels without those of a module and of all that import it.

        Numba looks at a kernel's own file only, so it would go on with callers of what was changed.
        """
        imports = {
            path.stem: re.findall(r"^from xmlcli\.kernels\.(\w+) import", path.read_text(encoding="utf-8"), re.M)
            for path in (self.root / KERNELS).glob("*.py")
        }
        stale = {module}
        while more := {name for name, imported in imports.items() if stale & {*imported}} - stale:
            stale |= more
        cache = self._cache.with_name(f"{self._cache.name}.changed")
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(self._cache, cache, dirs_exist_ok=True)
        for path in cache.rglob("*.nb*"):
            if path.name.partition(".")[0] in stale:
                path.unlink()
        return cache

    def _run(self, tests: Sequence[str], limit: float | None, cache: Path) -> tuple[int, float, str]:
        """Run tests in a process group of their own; return the exit code, seconds, and what was printed."""
        temporary, out = self.root.with_name(f"{self.root.name}.tmp"), self.root.with_name(f"{self.root.name}.out")
        for folder in (cache, temporary):
            folder.mkdir(exist_ok=True)
        order = {"root": self.root, "tests": tests, "cache": cache, "temporary": temporary, "out": out}
        started = time.monotonic()
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(order, default=str) + "\n")
        self._nursery.stdin.flush()
        group = int(self._answers.get())
        try:
            code = int(self._answers.get(timeout=limit))
        except queue.Empty:
            _kill_group(group)
            code = int(self._answers.get())
        _kill_group(group)
        shutil.rmtree(temporary, ignore_errors=True)
        return code, time.monotonic() - started, out.read_text(errors="replace")

    def close(self) -> None:
        """End the process that runs tests."""
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait()


def _kill_group(group: int) -> None:
    """End all processes of a group that are left."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def run(changes: Sequence[Change], copies: Sequence[Copy], *, show: bool) -> list[Outcome]:
    """Try all changes, in each copy one at a time, and print what became of each. Raises StaleListError."""
    groups: dict[tuple[str, ...], list[Change]] = defaultdict(list)
    for change in changes:
        groups[change.tests].append(change)
    waiting: queue.SimpleQueue[list[Change]] = queue.SimpleQueue()
    for group in sorted(groups.values(), key=len, reverse=True):
        waiting.put(group)
    outcomes: list[Outcome] = []
    errors: list[StaleListError] = []
    printing = threading.Lock()

    def work(copy: Copy) -> None:
        while not errors:
            try:
                group = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                usual = copy.seconds_unchanged(group[0].tests)
                for change in group:
                    found = copy.outcome(change, usual)
                    with printing:
                        outcomes.append(found)
                        _tell(found, len(outcomes), len(changes), show=show)
            except StaleListError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return outcomes


def _tell(found: Outcome, done: int, total: int, *, show: bool) -> None:
    word = "noticed " if found.noticed else "SURVIVED"
    print(f"{done:3}/{total}  {word}  {found.seconds:5.1f} s  {found.change}", flush=True)
    if show:
        print(found.printed, flush=True)


def by_package(outcomes: Sequence[Outcome]) -> str:
    """Return a table: package, changes, noticed, survived."""
    lines = ["| package | changes | noticed | survived |", "|---|---|---|---|"]
    for package in [*sorted({found.change.package for found in outcomes}), "all"]:
        own = [found.noticed for found in outcomes if package in ("all", found.change.package)]
        lines.append(f"| {package} | {len(own)} | {sum(own)} | {len(own) - sum(own)} |")
    return "\n".join(lines)


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="TEXT", help="changes whose file or new text holds it")
    parser.add_argument("--workers", type=int, default=2, help="changes that are tried at a time")
    parser.add_argument("--folder", type=Path, help="keeps the copies, with what was compiled for them; default: none")
    parser.add_argument("--show", action="store_true", help="show what the tests print")
    options = parser.parse_args()
    try:
        changes = read_changes(LIST.read_text(encoding="utf-8"))
        if options.only:
            changes = [c for c in changes if any(text in c.path or text in c.new for text in options.only)]
        with tempfile.TemporaryDirectory(prefix="xmlcli-mutate-") as folder:
            place = (options.folder or Path(folder)).resolve()
            copies = [Copy(PROJECT, place / f"copy{number}") for number in range(options.workers)]
            outcomes = run(changes, copies, show=options.show)
            for copy in copies:
                copy.close()
    except StaleListError as error:
        print(error, file=sys.stderr)
        return 2
    noticed = sum(found.noticed for found in outcomes)
    print(f"\n{by_package(outcomes)}\n")
    for found in outcomes:
        if not found.noticed:
            print(f"survived: {found.change}")
    print(f"{noticed} of {len(outcomes)} noticed ({noticed / max(len(outcomes), 1):.1%})")
    return int(noticed < ENOUGH * len(outcomes))


if __name__ == "__main__":
    sys.exit(main())
