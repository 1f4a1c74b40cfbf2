"""Running a command while its time and memory are measured, and what the folder of a run says about its stages."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

XMLCLI = [sys.executable, "-m", "xmlcli"]
_PACKAGES = ("numpy", "scipy", "torch")
_SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Finished:
    """A command that ended well: its wall time, the peak memory of it and its children, and what it printed."""

    seconds: float
    peak_bytes: int
    stdout: str


def measure(command: Sequence[str]) -> Finished:
    """Run a command to its end; its standard error goes to ours.

    The peak is the larger of the resident memory of its process tree, sampled every 20 ms (Linux only), and the
    largest of one process as the system counts it.
    """
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        peaks: list[int] = [0]
        ended = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, peaks, ended))
        sampler.start()
        stdout = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        sampler.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024
    return Finished(seconds, max(peaks[0], usage.ru_maxrss * unit), stdout)


def _sample(pid: int, peaks: list[int], ended: threading.Event) -> None:
    """Keep the largest resident memory of a process tree in `peaks`, until it has ended."""
    page = os.sysconf("SC_PAGE_SIZE")
    while not ended.wait(_SAMPLE_SECONDS):
        total, pending = 0, [pid]
        while pending:
            folder = Path(f"/proc/{pending.pop()}")
            try:
                total += int((folder / "statm").read_text().split()[1]) * page
                for task in (folder / "task").iterdir():
                    pending += map(int, (task / "children").read_text().split())
            except OSError:  # it has ended meanwhile, or this is no Linux
                continue
        peaks[0] = max(peaks[0], total)


def provenance(root: Path) -> dict[str, dict[str, Any]]:
    """Return call → what it cost, in the order in which the calls of the one run under `root` finished."""
    (folder,) = (root / "runs").iterdir()
    records = [path for path in folder.glob("*.json") if path.name != "run.json"]
    found = [json.loads(path.read_text()) for path in sorted(records, key=lambda path: path.stat().st_mtime_ns)]
    return {record["call"]: record["provenance"] for record in found}


def append_line(results: Path | None, line: dict[str, Any]) -> None:
    """Append a line of results as JSON, where a file is wanted: what has been measured stays if a later run fails."""
    if results:
        with results.open("a") as out:
            out.write(json.dumps(line) + "\n")


def folder_bytes(*paths: Path) -> int:
    """Return the size of files, and of all files in folders."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file())


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; None is an empty cell, a float has three significant digits."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine() -> str:
    """Return date, processor, and versions, as a sentence of a report."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    return f"{date.today()}, {os.cpu_count()} cores, {name}, Python {platform.python_version()}, {versions}."
