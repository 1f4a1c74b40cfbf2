"""When checkpoints are saved, and that a killed run goes on from one to the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from support.command_line import main
from support.fake_stages import drawn_state, make_config
from support.tiny_dataset import PROFILES, PROJECT, contents, finished_root, opened, shared_dataset

from xmlcli.runs import runner
from xmlcli.stages import checkpoint
from xmlcli.stages.checkpoint import Checkpoint


def test_saving_takes_a_twentieth_of_the_time_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    found = Checkpoint(tmp_path / "model.safetensors", drawn_state(4, 3, make_config().model, "adam"), 30.0)
    save, saved = found.save, []

    def slow(step: int) -> None:
        saved.append(now[0])
        monkeypatch.setattr(
            checkpoint.sealed_tensors, "save", lambda path, *what: (now.append(now.pop() + 5), path.touch())
        )
        save(step)

    monkeypatch.setattr(found, "save", slow)
    for step in range(400):
        now[0] += 1
        found.tick(step)
    assert saved[0] == 30
    assert all(later - earlier >= 100 for earlier, later in pairwise(saved))
    assert len(saved) > 2


STOPPED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support import tiny_dataset
from xmlcli.stages import train_clf

class Halting(train_clf.Checkpoint):
    def tick(self, step):
        super().tick(step)
        if step == 5 and len(list(self._paths[0].parents[1].glob("train-clf-2"))):
            Path(sys.argv[4]).touch()
            time.sleep(600)

train_clf.Checkpoint = Halting
tiny_dataset.run(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[5], clf__checkpoint_seconds=0.0)
"""


def stopped_in_training(root: Path, dataset: Path, profile: str, mark: Path) -> subprocess.Popen[bytes]:
    """Start a run in another process and return when it stands still in cycle 2 of train-clf, after its fifth step."""
    words = [sys.executable, "-c", STOPPED, str(PROJECT / "tests"), str(root), str(dataset), str(mark), profile]
    process = subprocess.Popen(words)
    deadline = time.monotonic() + 90
    while not mark.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("profile", PROFILES)
def test_a_killed_run_goes_on_to_the_same_bytes_and_keeps_others_out_meanwhile(
    tmp_path: Path, profile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, dataset = tmp_path / "root", shared_dataset()
    process = stopped_in_training(root, dataset, profile, tmp_path / "mark")
    try:
        words = ["train", "--dataset", str(dataset), "--profile", profile, "--root", str(root), "--device", "cpu"]
        assert main(monkeypatch, *words) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert len(shown.err.splitlines()) == 1
        assert "another run works on" in shown.err
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL

    steps: list[int] = []
    started: list[str] = []
    session, calls = opened(root, dataset, profile, clf__checkpoint_seconds=0.0)
    session = replace(
        session,
        on_start=lambda call, why: started.append(call.name),
        progress=lambda label, done, total: steps.append(done) if label == "train" else None,
    )
    runner.run(session, calls, calls)
    assert started[0] == "train-clf-2"
    assert steps[0] == 6
    assert contents(root) == contents(finished_root(profile))
    assert not list(root.rglob(".*"))
