"""The part of `make crash` that kills `dvc repro`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from driving import PROJECT, SMALL, Ended, Findings, draw, hashes, run

_ROW = "dvc repro"
_AT_LEAST = 20.0  # seconds that it takes where nothing was made yet
_POLL_SECONDS = 0.05


class DvcProject:
    """A project that DVC runs: one small run of demo, whose seed is a line of its pipeline file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pipelines").mkdir(parents=True)
        shutil.copy(PROJECT / "pipelines" / "default.yaml", folder / "pipelines")
        shutil.copy(PROJECT / "dvc.yaml", folder)
        for source in [*PROJECT.glob("xmlcli/stages/*.py"), PROJECT / "xmlcli/datasets/synthetic/demo.py"]:
            (folder / source.relative_to(PROJECT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / source.relative_to(PROJECT))  # DVC reads VERSION there, Python in PROJECT
        command = folder / ".venv" / "bin" / "xmlcli"
        command.parent.mkdir(parents=True)
        command.write_text(f"#!{sys.executable} -P\nfrom xmlcli.cli import main\nmain()\n")
        command.chmod(0o755)
        self.write_seed(1)
        path = os.pathsep.join([str(PROJECT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        self._environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "DVC_NO_ANALYTICS": "1"}
        self.dvc("init", "--no-scm", "--quiet").wait()
        (folder / "params.yaml").write_text("runs: {}\n")
        run("plan", "--add", "demo", "--profile", "small", "--write", folder=folder)

    def write_seed(self, seed: int) -> None:
        """Write the pipeline file."""
        sections: dict[str, list[str]] = {}
        for key, value in SMALL.items():
            if "." in key:
                sections.setdefault(key.partition(".")[0], []).append(f"{key.partition('.')[2]}: {value}")
        lines = [f"{key}: {value}" for key, value in (SMALL | {"seed": seed}).items() if "." not in key]
        lines += [f"{section}: {{{', '.join(values)}}}" for section, values in sections.items()]
        (self.folder / "pipelines" / "small.yaml").write_text("\n".join(["base: default", *lines, ""]))

    def dvc(self, *words: str) -> subprocess.Popen[str]:
        """Start DVC in a group of processes of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *words], cwd=self.folder, env=self._environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def predict(self) -> Ended:
        """Ask the run."""
        return run("predict", "--dataset", "demo", "--profile", "small", "--text", "gabo belu", folder=self.folder)


def crash_dvc(folder: Path, kills: int, seed: int, findings: Findings) -> None:
    """Kill `dvc repro`, all its processes at once, until there were so many kills; each training has another seed."""
    project, done, number, before, usual = DvcProject(folder / "project"), 0, 0, "", _AT_LEAST
    while done < kills:
        number += 1
        case, rng = f"dvc/{number}", draw(seed, "dvc", number)
        project.write_seed(number)
        files, answer = _undisturbed(project, folder / "undisturbed")
        for _ in range(rng.randint(3, 6)):
            killed = _kill_repro(project, rng.uniform(0, usual))
            done += killed
            findings.count(_ROW, "kills at a moment", killed)
            _check_dvc_answer(project, case, {before, answer}, findings)
            if not killed:
                break
        process, started = project.dvc("repro"), time.monotonic()
        printed = process.communicate()[0]
        usual = max(_AT_LEAST, time.monotonic() - started)
        findings.count(_ROW, "finished")
        if process.returncode:
            findings.add(_ROW, case, f"exit code {process.returncode}: {printed[-300:]}")
        elif hashes(project.folder, "artifacts", "metrics") != files:
            findings.add(_ROW, case, "other bytes than by xmlcli train")
        _check_dvc_answer(project, case, {answer}, findings)
        before = answer


def _kill_repro(project: DvcProject, seconds: float) -> bool:
    """Start it and kill it after so many seconds; whether it ran until then."""
    process, deadline = project.dvc("repro"), time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    runs = process.poll() is None
    if runs:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return runs


def _undisturbed(project: DvcProject, root: Path) -> tuple[dict[str, str], str]:
    """Train beside the project, from the same pipeline file; return every file and the answer."""
    shutil.rmtree(root, ignore_errors=True)
    words = ("--dataset", "demo", "--profile", "small", "--root", str(root))
    for ended in (
        run("train", *words, "--device", "cpu", folder=project.folder),
        answered := run("predict", *words, "--text", "gabo belu", folder=project.folder),
    ):
        if ended.problem():
            raise SystemExit(f"an undisturbed training fails: {ended.problem()}\n{ended.err}")
    return hashes(root, "artifacts", "metrics"), answered.out


def _check_dvc_answer(project: DvcProject, case: str, allowed: set[str], findings: Findings) -> None:
    findings.count(_ROW, "predictions")
    answered = project.predict()
    refuses = "" in allowed and answered.code == 2 and "no complete training" in answered.err
    if answered.problem(0, 2) or not (refuses or (answered.code == 0 and answered.out in allowed)):
        findings.add(_ROW, case, f"predict answers {answered.out[:80]!r} {answered.err[-200:]!r}")
