"""Train, measure, export and predict again and again in one process, and see that nothing grows and nothing is left.

Two trainings take turns, so every round makes all artifacts anew. Each must answer as it did the first time. After each
round memory is read; at the end its slope is fitted over all but the first quarter of the time, in which caches fill.
Open files, threads, child processes and temporary files must be as many as after the first rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from driving import PROJECT, Findings, leftovers, settings, temporary, until_stopped, write_demo

MOST_SLOPE = 1.0
"""MiB an hour."""
SHORT_HOURS, SHORT_GROWTH = 1.0, 12.0
"""In less time than so many hours the slope is noise; then memory may grow by so many MiB in all."""
_WARM = 4  # rounds
_ROW = "soak"


@dataclass(frozen=True)
class Sample:
    """What the process holds after a round: hours since the start, MiB of memory, and counts."""

    hours: float
    memory: float
    files: int
    threads: int
    children: int
    temporary: int


class Rounds:
    """Rounds of commands in this process, over one root."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self._folder, self._findings = folder, findings
        self._dataset = str(write_demo(folder / "demo"))
        (folder / "documents.txt").write_text("gabo belu\n\nhusugu kewiku dowami\n" * 100)
        self._first: dict[int, tuple[str, ...]] = {}
        self._started = time.monotonic()

    def run(self, number: int) -> Sample:
        """Make one round, note what differs from the first of its kind, and return what is held then."""
        seed, root, model = 1 + number % 2, self._folder / "root", self._folder / "model"
        named = ["--dataset", self._dataset, "--root", str(root)]
        answers = self._folder / "answers.jsonl"
        documents = ["--input", str(self._folder / "documents.txt")]
        self._call("train", *named, "--replace", *settings(seed=seed), number=number)
        printed = [self._call("evaluate", *named, *settings(seed=seed), "--metric", "p@1", number=number)]
        self._call("predict", *named, *documents, "--output", str(answers), number=number)
        printed.append(answers.read_text())
        self._call("export", *named, str(model), number=number)
        printed.append(
            self._call("predict", "--model", str(model), *documents, "--output", str(answers), number=number)
        )
        printed.append(answers.read_text())
        if self._first.setdefault(seed, tuple(printed)) != tuple(printed):
            self._findings.add(_ROW, number, "another answer than that of the first such round")
        if left := [*leftovers(root), *leftovers(self._folder)]:
            self._findings.add(_ROW, number, f"left behind: {', '.join(left)}")
        self._findings.count(_ROW, "rounds")
        return self._sample()

    def _call(self, *words: str, number: int) -> str:
        """Run one command in this process, and return what it prints."""
        from xmlcli.cli import main

        printed, told, sys.argv = io.StringIO(), io.StringIO(), ["xmlcli", *words]
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            try:
                main()
            except SystemExit as stop:
                if stop.code:
                    self._findings.add(_ROW, number, f"{words[0]}: {told.getvalue()[-300:]}")
        self._findings.count(_ROW, "commands")
        return printed.getvalue()

    def _sample(self) -> Sample:
        from xmlcli.machine.memory import give_back_memory

        gc.collect()
        give_back_memory()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        tasks = list(Path("/proc/self/task").iterdir())
        return Sample(
            (time.monotonic() - self._started) / 3600,
            resident / 2**20,
            len(os.listdir("/proc/self/fd")),
            len(tasks),
            sum(len((task / "children").read_text().split()) for task in tasks),
            len(os.listdir(tempfile.gettempdir())),
        )


def slope(samples: list[Sample]) -> float:
    """Return MiB an hour by least squares, without the first quarter of the time."""
    late = [sample for sample in samples if sample.hours >= samples[-1].hours / 4]
    hours = [sample.hours for sample in late]
    mean_hours, mean = sum(hours) / len(late), sum(sample.memory for sample in late) / len(late)
    spread = sum((hour - mean_hours) ** 2 for hour in hours)
    products = ((hour - mean_hours) * (sample.memory - mean) for hour, sample in zip(hours, late, strict=True))
    return sum(products) / spread if spread else 0.0


def judge(samples: list[Sample], findings: Findings) -> None:
    """Note what has grown."""
    first, last, grows = samples[min(_WARM, len(samples)) - 1], samples[-1], slope(samples)
    for name in ("files", "threads", "children", "temporary"):
        before, after = getattr(first, name), getattr(last, name)
        if after > before:
            findings.add(_ROW, "all", f"{name}: {before} after {_WARM} rounds, {after} in the end")
    is_long = last.hours >= SHORT_HOURS
    if grows > MOST_SLOPE if is_long else grows * last.hours > SHORT_GROWTH:
        findings.add(_ROW, "all", f"memory grows by {grows:.2f} MiB an hour, from {first.memory:.1f} MiB")
    print(
        f"{last.hours * 60:.1f} minutes, {len(samples)} rounds: memory {first.memory:.1f} MiB after {_WARM} rounds, ",
        end="",
    )
    print(f"{last.memory:.1f} MiB in the end, slope {grows:+.2f} MiB an hour; {last.files} open files, ", end="")
    print(f"{last.threads} threads, {last.children} child processes\n")


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=120.0, help="how long; default 120")
    options = made.parse_args()
    sys.path.insert(0, str(PROJECT))
    findings = Findings("soak", 1)
    with temporary("soak") as folder:
        own = folder / "temporary"
        own.mkdir()
        tempfile.tempdir = str(own)
        rounds, samples = Rounds(folder, findings), []
        deadline = time.monotonic() + options.minutes * 60
        with until_stopped():
            while len(samples) < 2 * _WARM or time.monotonic() < deadline:
                samples.append(rounds.run(len(samples)))
        judge(samples, findings)
    return findings.finish()


if __name__ == "__main__":
    sys.exit(main())
