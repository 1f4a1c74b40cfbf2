"""Kill trainings with `kill -9`, go on with the same command, and compare with trainings that nothing disturbed.

A case begins with an empty root or with a complete training of another seed, is killed at a rename or at random
moments, and is then left to finish. After every kill, and in some cases beside the training, `predict` must answer from
one complete training, or refuse where there is none yet. At the end all artifacts and metrics must be byte-identical to
those of an undisturbed training. The same is done with `dvc repro`.

Cases are called DATASET/rename/START/NUMBER, DATASET/moment/NUMBER and dvc/NUMBER.
"""

from __future__ import annotations

import itertools
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash_dvc import crash_dvc
from driving import (
    Command,
    Ended,
    Findings,
    copy_tree,
    draw,
    hashes,
    leftovers,
    load_program,
    parser,
    run,
    settings,
    temporary,
    until_stopped,
    write_demo,
)

DEMO = "demo"
OLD, NEW = 1, 2
"""The seeds of the training before, and of the one that is killed."""
STARTS = ("empty", "old")
_MOST_KILLS = 3
_SHOWN_DOCUMENTS = 5


class Renames:
    """Counts the renames of a command, in memory that it shares with the driver, and kills it at one of them."""

    def __init__(self, kill_at: int = 0, *, before: bool = True) -> None:
        self._count = mmap.mmap(-1, 8)
        self._kill_at, self._before = kill_at, before

    @property
    def number(self) -> int:
        """How many there were."""
        return int(struct.unpack("q", self._count[:8])[0])

    def watch(self) -> None:
        """Count from now on, in this process."""
        for name in ("rename", "replace"):
            setattr(os, name, self._watched(getattr(os, name)))

    def _watched(self, rename: Callable[..., None]) -> Callable[..., None]:
        def inner(*args: Any, **options: Any) -> None:
            self._count[:8] = struct.pack("q", self.number + 1)
            is_last = self.number == self._kill_at
            if is_last and self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*args, **options)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)

        return inner


@dataclass(frozen=True)
class Reference:
    """An undisturbed training: its root, every file, what it answers, and seconds and renames that it took."""

    root: Path
    files: dict[str, str]
    answer: str
    seconds: float
    renames: int


class Trainings:
    """Trainings of one dataset under `folder`: the undisturbed ones, and a root for the cases."""

    def __init__(self, dataset: str, folder: Path, findings: Findings) -> None:
        self.dataset, self.root, self._findings = dataset, folder / "root", findings
        folder.mkdir()
        self._path = str(write_demo(folder / dataset)) if dataset == DEMO else dataset
        self._documents = _documents(self._path, folder)
        self.old = self._reference(folder / "old", OLD)
        self.new = {"empty": self._reference(folder / "new", NEW)}
        copy_tree(self.old.root, folder / "after-old")
        self.new["old"] = self._reference(folder / "after-old", NEW)

    def train(self, seed: int, root: Path, before: Callable[[], object] = lambda: None) -> Command:
        """Start a training."""
        words = ("--dataset", self._path, "--root", str(root), "--replace", "--device", "cpu", *settings(seed=seed))
        return Command("train", *words, folder=root.parent, before=before)

    def predict(self) -> Ended:
        """Ask the root of the cases."""
        return self._predict(self.root)

    def begin(self, start: str) -> None:
        """Make the root of the cases anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        if start == "old":
            copy_tree(self.old.root, self.root)

    def check_answer(self, case: str, start: str, answered: Ended) -> None:
        """Note a finding unless one complete training has answered, or there is none and that was said."""
        self._findings.count(self.dataset, "predictions")
        allowed = {self.new[start].answer, self.old.answer if start == "old" else ""}
        refuses = start == "empty" and answered.code == 2 and "no complete training" in answered.err
        nothing = start == "empty" and answered.code == 2 and "nothing has been trained" in answered.err
        problem = answered.problem(0, 2)
        if problem is None and not (refuses or nothing) and (answered.code or answered.out not in allowed):
            problem = f"predict answers {answered.out[:80]!r} {answered.err[-200:]!r}"
        if problem:
            self._findings.add(self.dataset, case, problem)

    def check_end(self, case: str, start: str, ended: Ended) -> None:
        """Note a finding unless the training is complete, byte by byte the undisturbed one, and answers."""
        self._findings.count(self.dataset, "finished")
        problem, found, expected = ended.problem(), hashes(self.root, "artifacts", "metrics"), self.new[start].files
        if problem is None and found != expected:
            differ = sorted(name for name in found.keys() | expected if found.get(name) != expected.get(name))
            problem = f"other bytes in {', '.join(differ[:5])}"
        if problem is None and (left := leftovers(self.root)):
            problem = f"left behind: {', '.join(left)}"
        if problem is None and (answer := self.predict()).out != self.new[start].answer:
            problem = f"another answer in the end: {answer.out[:80]!r} {answer.err[-200:]!r}"
        if problem:
            self._findings.add(self.dataset, case, problem)

    def _reference(self, root: Path, seed: int) -> Reference:
        started, renames = time.monotonic(), Renames()
        problem = (ended := self.train(seed, root, renames.watch).wait()).problem()
        seconds, answered = time.monotonic() - started, self._predict(root)
        if problem or answered.problem():
            raise SystemExit(f"an undisturbed training fails: {problem or answered.problem()}\n{ended.err}")
        return Reference(root, hashes(root, "artifacts", "metrics"), answered.out, seconds, renames.number)

    def _predict(self, root: Path) -> Ended:
        words = ("--dataset", self._path, "--root", str(root), "--input", str(self._documents))
        return run("predict", *words, folder=self.root.parent)


def _documents(dataset: str, folder: Path) -> Path:
    """Write some test documents, the same each time, and return the file."""
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.datasets.load import read_dataset
    from xmlcli.storage import files

    test = read_dataset(locate(dataset, data_folders(folder))).test
    assert test is not None
    if test.texts is None:
        files.save_csr(folder / "few.npz", test.X[:_SHOWN_DOCUMENTS])
        return folder / "few.npz"
    (folder / "few.txt").write_text("".join(f"{text}\n" for text in test.texts[:_SHOWN_DOCUMENTS]))
    return folder / "few.txt"


def rename_cases(trainings: Trainings, kills: int, seed: int) -> list[str]:
    """Return a case for every rename of both starts, or for half as many of them as there are to be kills."""
    name, rng = trainings.dataset, draw(seed, trainings.dataset)
    points = [f"{name}/rename/{s}/{n}" for s in STARTS for n in range(1, trainings.new[s].renames + 1)]
    return rng.sample(points, len(points) if len(points) < kills else kills // 2)


def run_case(trainings: Trainings, case: str, seed: int, findings: Findings) -> int:
    """Run one case, and return how often it was killed."""
    rng, (_, kind, *rest) = draw(seed, case), case.split("/")
    start = rest[0] if kind == "rename" else rng.choice(STARTS)
    trainings.begin(start)
    if kind == "rename":
        killed = _kill_at_rename(trainings, int(rest[1]), rng)
        trainings.check_answer(case, start, trainings.predict())
    else:
        killed = _kill_at_moments(trainings, case, start, rng)
    findings.count(trainings.dataset, f"kills at a {kind}", killed)
    trainings.check_end(case, start, trainings.train(NEW, trainings.root).wait())
    return killed


def _kill_at_rename(trainings: Trainings, number: int, rng: random.Random) -> int:
    renames = Renames(number, before=rng.random() < 0.5)
    return int(trainings.train(NEW, trainings.root, renames.watch).wait().code == -signal.SIGKILL)


def _kill_at_moments(trainings: Trainings, case: str, start: str, rng: random.Random) -> int:
    killed = 0
    for _ in range(rng.randint(1, _MOST_KILLS)):
        command = trainings.train(NEW, trainings.root)
        moments = sorted(rng.uniform(0, trainings.new[start].seconds) for _ in range(2))
        if rng.random() < 1 / 3:
            time.sleep(moments[0])
            trainings.check_answer(case, start, trainings.predict())
        time.sleep(moments[1] - moments[0])
        command.kill()
        killed += command.wait().code == -signal.SIGKILL
        trainings.check_answer(case, start, trainings.predict())
    return killed


def crash(dataset: str, folder: Path, kills: int, seed: int, findings: Findings, only: str | None) -> None:
    """Kill trainings of one dataset at its renames, and then at random moments, until there were so many kills."""
    trainings = Trainings(dataset, folder, findings)
    if only:
        run_case(trainings, only, seed, findings)
        return
    findings.count(dataset, "renames there are", sum(trainings.new[start].renames for start in STARTS))
    done = sum(run_case(trainings, case, seed, findings) for case in rename_cases(trainings, kills, seed))
    for moment in itertools.count():
        if done >= kills:
            break
        done += run_case(trainings, f"{dataset}/moment/{moment}", seed, findings)


def main() -> int:
    made = parser(__doc__, 200, "kills of xmlcli train, over all datasets")
    made.add_argument("--dvc", type=int, default=50, help="kills of dvc repro; default 50")
    made.add_argument("--dataset", action="append", help="repeats; default: demo, and bibtex where it is found")
    options = made.parse_args()
    load_program()
    findings = Findings("crash", options.seed)
    datasets = options.dataset or ["demo", *(["bibtex"] if _is_there("bibtex") else [])]
    with temporary("crash") as folder, until_stopped():
        for dataset in datasets:
            share = options.count // len(datasets)
            if share and (not options.only or options.only.startswith(f"{dataset}/")):
                crash(dataset, folder / dataset, share, options.seed, findings, options.only)
        if options.dvc and (not options.only or options.only.startswith("dvc/")):
            crash_dvc(folder, options.dvc, options.seed, findings)
    return findings.finish()


def _is_there(dataset: str) -> bool:
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.errors import DatasetError

    try:
        locate(dataset, data_folders(Path()))
    except DatasetError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
