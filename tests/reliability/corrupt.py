"""Damage one file of a trained run or of an exported model, run every command, and see that none is wrong about it.

Every file of every kind has its turn: artifacts, the snapshot, records, caches, metrics, checkpoints of a training that
was killed, and the exported folder. A file is flipped by a bit, cut, emptied, overwritten, lengthened, exchanged for
another one, edited as JSON, removed, or replaced by a folder, a link or a pipe.

`plan`, `plan --verify`, `predict` and `evaluate` must then give the right answer or one line of error, `plan --verify`
must notice damaged artifacts, and `train` must make the same bytes again. Of an exported model `predict` must give the
right answer or one line. A case is a number.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from damages import DAMAGES, PLACED
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
    settings,
    temporary,
    until_stopped,
    write_demo,
)

PATIENCE = 120.0
TEXT = "gabo belu"
_CHECKPOINTS = 3
_SETTINGS = {"model__dim": 96, "clf__checkpoint_seconds": 0}
"""So that some files are too large to be hashed at every start, and a checkpoint is saved at every step."""


@dataclass(frozen=True)
class Place:
    """A file that can be damaged: the state that it is part of, `trained` or `stopped`, and its path there."""

    state: str
    path: str

    @property
    def kind(self) -> str:
        """The row of the table."""
        top = self.path.split("/")[0]
        return "checkpoints" if self.state == "stopped" else {"model": "exported model"}.get(top, top)


class Runs:
    """A trained run with an exported model, one that was killed among its checkpoints, and what is right of both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self._dataset = str(write_demo(folder / "demo"))
        self.states = {"trained": folder / "trained", "stopped": folder / "stopped"}
        self._must(self.train("trained", root := self.states["trained"]))
        self._must(self.run("export", *self._named(root), str(root / "model")))
        copy_tree(root, self.states["stopped"])
        stopped = self.train("stopped", self.states["stopped"], before=_die_among_checkpoints)
        assert stopped.code == -signal.SIGKILL, stopped
        copy_tree(self.states["stopped"], folder / "other")
        self._must(self.train("stopped", folder / "other"))
        self.answers = {name: self._must(self.predict(at)).out for name, at in self.states.items()}
        self.answers["finished"] = self._must(self.predict(folder / "other")).out
        self.exported = self._must(self.predict_model(root)).out
        self.metrics = {name: self.measured(self.evaluate(name, at)) for name, at in self.states.items()}
        self.made = {
            "trained": hashes(root, "artifacts", "metrics"),
            "stopped": hashes(folder / "other", "artifacts", "metrics"),
        }

    def places(self) -> list[Place]:
        """Return all files that can be damaged."""
        found = []
        for state, root in self.states.items():
            paths = [str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()]
            found += [Place(state, path) for path in paths if state == "trained" or "/train-clf" in path]
        return [place for place in found if place.state == "trained" or place.path.startswith("scratch/")]

    def run(self, *words: str, before: Callable[[], object] = lambda: None) -> Ended:
        """Run a command to its end."""
        return Command(*words, folder=self.folder, before=before).wait(PATIENCE)

    def train(self, state: str, root: Path, before: Callable[[], object] = lambda: None) -> Ended:
        """Train, or go on."""
        return self.run("train", *self._named(root, state), "--replace", "--device", "cpu", before=before)

    def plan(self, state: str, root: Path, *more: str) -> Ended:
        """Show the plan."""
        return self.run("plan", *self._named(root, state), *more)

    def predict(self, root: Path) -> Ended:
        """Ask the run."""
        return self.run("predict", "--dataset", self._dataset, "--root", str(root), "--text", TEXT)

    def predict_model(self, root: Path) -> Ended:
        """Ask the exported model."""
        return self.run("predict", "--model", str(root / "model"), "--text", TEXT)

    def evaluate(self, state: str, root: Path) -> Ended:
        """Measure the run."""
        named = self._named(root) if state == "trained" else ["--root", str(root)]  # as it was trained last
        return self.run("evaluate", *named, "--json")

    def measured(self, ended: Ended) -> Any:
        """Return the metrics that evaluate has printed; what it cost differs."""
        report = json.loads(self._must(ended).out)
        return {key: report[key] for key in ("dataset", "cycle", "metrics")}

    def _named(self, root: Path, state: str = "trained") -> list[str]:
        seed = 1 if state == "trained" else 2
        return ["--dataset", self._dataset, "--root", str(root), *settings(seed=seed, **_SETTINGS)]

    def _must(self, ended: Ended) -> Ended:
        if ended.problem():
            raise SystemExit(f"an undisturbed command fails: {ended.words[0]}: {ended.problem()}\n{ended.err}")
        return ended


def _die_among_checkpoints() -> None:
    """Kill this process when it has saved some checkpoints."""
    rename, saved = os.rename, 0

    def watched(source: Any, target: Any, **options: Any) -> None:
        nonlocal saved
        rename(source, target, **options)
        saved += "train-clf" in str(target) and str(target).endswith(".safetensors")
        if saved == _CHECKPOINTS:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = watched


def run_case(runs: Runs, places: list[Place], number: int, seed: int, findings: Findings) -> None:
    """Damage one file, run every command, and note what is wrong."""
    rng = draw(seed, number)
    place = places[number % len(places)]
    damage = rng.choice(list(DAMAGES))
    copy_tree(runs.states[place.state], runs.root)
    damaged = runs.root / place.path
    others = [path for path in sorted(runs.root.rglob("*")) if path.is_file() and path != damaged]
    before = damaged.read_bytes()
    DAMAGES[damage](damaged, rng, others)
    findings.count(place.kind, "damages")
    differs = not damaged.is_file() or damaged.read_bytes() != before
    check = _check_model if place.kind == "exported model" else _check_run
    for problem in check(runs, place, damage, differs, findings):
        findings.add(place.kind, number, f"{place.path}, {damage}: {problem}")


def _check_model(runs: Runs, place: Place, damage: str, differs: bool, findings: Findings) -> list[str]:
    """Return what is wrong with how an exported model answers."""
    answered = runs.predict_model(runs.root)
    _tell(answered, place, findings)
    problems = [answered.problem(0, 2)]
    if answered.code == 0 and answered.out != runs.exported:
        problems.append(f"another answer: {answered.out[:200]!r}")
    return [problem for problem in problems if problem]


def _check_run(runs: Runs, place: Place, damage: str, differs: bool, findings: Findings) -> list[str]:
    """Return what is wrong with how the commands deal with a damaged run."""
    state, root = place.state, runs.root
    planned, verified = runs.plan(state, root), runs.plan(state, root, "--verify")
    answered, measured = runs.predict(root), runs.evaluate(state, root)
    for ended in (planned, verified, answered, measured):
        _tell(ended, place, findings)
    problems = [f"plan: {planned.problem(0, 2)}" if planned.problem(0, 2) else None]
    problems += [f"{ended.words[0]}: {p}" for ended in (verified, answered, measured) if (p := ended.problem(0, 1, 2))]
    if place.kind == "artifacts" and differs and verified.code == 0 and "no output yet" not in planned.out:
        problems.append("plan --verify finds nothing")
    if answered.code == 0 and answered.out != runs.answers[state]:
        problems.append(f"predict: another answer: {answered.out[:200]!r}")
    if measured.code == 0 and runs.measured(measured) != runs.metrics[state]:
        problems.append(f"evaluate: other figures: {measured.out[:200]!r}")
    problems += _check_training(runs, place, damage, findings)
    return [problem for problem in problems if problem]


def _check_training(runs: Runs, place: Place, damage: str, findings: Findings) -> list[str | None]:
    """Train, and return what is wrong afterwards."""
    state, root = place.state, runs.root
    trained = runs.train(state, root)
    _tell(trained, place, findings)
    if trained.code == 2 and damage in PLACED and str(root / place.path) in trained.err:
        findings.count(place.kind, "told by name and left")
        shutil.rmtree(root / place.path) if (root / place.path).is_dir() else (root / place.path).unlink()
        trained = runs.train(state, root)
    if problem := trained.problem():
        return [f"train: {problem}"]
    found, expected = hashes(root, "artifacts", "metrics"), runs.made[state]
    differ = sorted(name for name in found.keys() | expected if found.get(name) != expected.get(name))
    answered, verified = runs.predict(root), runs.plan(state, root, "--verify")
    right = runs.answers["trained" if state == "trained" else "finished"]
    return [
        f"train: other bytes in {', '.join(differ[:5])}" if differ else None,
        f"left behind: {', '.join(left)}" if (left := leftovers(root)) else None,
        None if answered.out == right else f"predict after train: {answered.out[:200]!r} {answered.err[-200:]!r}",
        f"plan --verify after train: {verified.err[-200:]}" if verified.code else None,
    ]


def _tell(ended: Ended, place: Place, findings: Findings) -> None:
    findings.count(place.kind, "commands")
    findings.count(place.kind, "refused" if ended.code else "answered")


def main() -> int:
    options = parser(__doc__, 500, "damages").parse_args()
    load_program()
    findings = Findings("corrupt", options.seed)
    with temporary("corrupt") as folder, until_stopped():
        runs = Runs(folder)
        places = runs.places()
        draw(options.seed, "places").shuffle(places)
        print(f"{len(places)} files can be damaged", file=sys.stderr)
        for number in range(options.count) if options.only is None else [int(options.only)]:
            run_case(runs, places, number, options.seed, findings)
    return findings.finish()


if __name__ == "__main__":
    sys.exit(main())
