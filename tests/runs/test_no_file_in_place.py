"""A pipe, a folder or a link where a record should be: nothing waits for it, and what can be replaced is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fake_stages import make_config, make_session

from xmlcli.errors import ArtifactError, UsageError
from xmlcli.runs import runner
from xmlcli.runs.plan import plan
from xmlcli.runs.snapshot import incomplete, published
from xmlcli.stages.call import RunId
from xmlcli.storage.workspace import Workspace

CONFIG = make_config(cycles=1)
REPLACED = (
    "runs/demo/run.json", "runs/demo/settings.yaml", "runs/demo/evaluate-1.json", "metrics/demo/cycle1.json",
    "snapshots/demo/snapshot.json", "snapshots/demo/1/runs/demo/evaluate-1.json",
)  # fmt: skip

pytestmark = pytest.mark.timeout(60)


def train(root: Path) -> None:
    calls = plan(CONFIG, RunId("demo"))
    assert runner.run(make_session(root, CONFIG), calls, calls) is None


@pytest.mark.parametrize("name", REPLACED)
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to(path.name)], ids=["pipe", "loop"])
def test_a_pipe_or_a_loop_is_replaced(tmp_path: Path, name: str, put: Callable[[Path], None]) -> None:
    train(tmp_path)
    before = published(Workspace(tmp_path, "demo")).identities
    (tmp_path / name).unlink(missing_ok=True)
    put(tmp_path / name)
    train(tmp_path)
    assert published(Workspace(tmp_path, "demo")).identities == before
    assert not (tmp_path / name).is_fifo()


def test_a_snapshot_that_is_no_file_is_damaged(tmp_path: Path) -> None:
    train(tmp_path)
    path = tmp_path / "snapshots" / "demo" / "snapshot.json"
    for put in (os.mkfifo, Path.mkdir):
        path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        put(path)
        with pytest.raises(ArtifactError, match=r"snapshot of demo is damaged(.|\n)*found: it is no file"):
            published(Workspace(tmp_path, "demo"))
        if path.is_fifo():
            path.unlink()


def test_a_lock_that_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    train(tmp_path)
    lock = Workspace(tmp_path, "demo").lock_path
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(UsageError, match=rf"no file\nwhere: {lock}\nwhat to do: remove it"):
        train(tmp_path)
    assert "nothing" in str(incomplete(Workspace(tmp_path, "other")))
    (tmp_path / "snapshots" / "demo" / "snapshot.json").unlink()
    assert "no complete training" in str(incomplete(Workspace(tmp_path, "demo")))
