"""Paths and the lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xmlcli.errors import LockedError, UsageError
from xmlcli.storage.workspace import Ref, Workspace, check_name, holder, lock

HOLD = """
import sys, time
from pathlib import Path
from xmlcli.storage.workspace import Workspace, lock
with lock(Workspace(Path(sys.argv[1]), "demo")):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_lock(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_every_path_lies_below_the_root_under_the_runs_name() -> None:
    workspace = Workspace(Path("r"), "demo")
    assert workspace.artifact(Ref("prepared")) == Path("r/artifacts/demo/prepared")
    assert workspace.artifact(Ref("clf", 2)) == Path("r/artifacts/demo/cycle2/clf")
    assert workspace.metrics(1) == Path("r/metrics/demo/cycle1.json")
    assert workspace.record("train-clf-1") == Path("r/runs/demo/train-clf-1.json")


def test_the_second_holder_is_told_at_once_who_the_first_is(tmp_path: Path) -> None:
    process = hold_lock(tmp_path)
    try:
        with pytest.raises(LockedError, match=f"process {process.pid}"), lock(Workspace(tmp_path, "demo")):
            pass
        with lock(Workspace(tmp_path, "other")):
            pass
    finally:
        process.kill()
        process.wait()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    process = hold_lock(tmp_path)
    process.kill()
    process.wait()
    with lock(Workspace(tmp_path, "demo")):
        pass


def test_who_holds_the_lock_is_told_as_long_as_that_process_lives(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "demo")
    assert holder(workspace) is None
    process = hold_lock(tmp_path)
    assert str(holder(workspace)).startswith(f"process {process.pid}: ")
    process.kill()
    process.wait()
    assert holder(workspace) is None
    workspace.lock_path.write_text("nonsense")
    assert holder(workspace) is None


def test_the_next_holder_removes_what_killed_runs_left(tmp_path: Path) -> None:
    base = tmp_path / "artifacts" / "demo"
    leftovers = [base / ".prepared.tmp", base / "cycle1" / ".clf.tmp", base / "cycle12" / ".clf.old"]
    for folder in leftovers:
        folder.mkdir(parents=True)
        (folder / "X.npy").write_text("half")
    (base / "cycle1" / "clf").mkdir()
    half = tmp_path / "runs" / "demo" / ".prepare.123.tmp.json"
    half.parent.mkdir(parents=True)
    half.write_text("{")
    scratch = tmp_path / "scratch" / "demo" / "train-clf-1"
    scratch.mkdir(parents=True)
    of_checkpoint, of_record = scratch / ".model.123.tmp.safetensors", scratch.parent / ".verified.123.tmp.json"
    for path in (of_checkpoint, of_record, scratch / "model.safetensors"):
        path.write_text("{")
    with lock(Workspace(tmp_path, "demo")):
        assert not any(path.exists() for path in [*leftovers, half, of_checkpoint, of_record])
        assert (scratch / "model.safetensors").exists()
        assert (base / "cycle1" / "clf").exists()


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "Ümlaut", "a b", "-x"])
def test_a_name_that_cannot_be_part_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name, "dataset")
