"""When checkpoints are saved, and that a killed run goes on from one to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.command_line import main
from support.fake_stages import drawn_state, make_config
from support.permissions import forbidden
from support.system_calls import watch
from support.tiny_dataset import PROFILES, PROJECT, contents, finished_root, opened, shared_dataset

from xmlcli.classifiers.training_state import TrainingState
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.runs import runner
from xmlcli.stages import checkpoint, sealed_tensors
from xmlcli.stages.checkpoint import Checkpoint
from xmlcli.storage import files


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


CONFIG = make_config(model__residual=True)
OWNER = b'{"parameters": 1}'


def make_checkpoint(folder: Path, *, width: int = 8, ranks: Ranks = ALONE) -> tuple[Checkpoint, TrainingState]:
    """A checkpoint of a model whose weights are all 0, in a folder as the runner makes it."""
    config = replace(CONFIG.model, dim=width)
    model = drawn_state(4, 3, config, "adam")
    for tensor in model.tensors().values():
        tensor.zero_()
    folder.mkdir(exist_ok=True)
    (folder / "identity.json").write_bytes(OWNER)
    return Checkpoint(folder / "model.safetensors", model, 0.0, ranks), model


def save_steps(folder: Path, *steps: int, width: int = 8) -> None:
    """Save states whose biases are the number of their step."""
    checkpoint, model = make_checkpoint(folder, width=width)
    for step in steps:
        model.classifiers.bias.fill_(step)
        checkpoint.save(step)


def saved(folder: Path) -> dict[int, Path]:
    """The file of each step that has one."""
    return {int(files.load_tensors(path, "step")["step"]): path for path in folder.glob("*.safetensors")}


def cut_whole(path: Path) -> None:
    path.write_bytes(b"")


def cut_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def take_a_tensor(path: Path) -> None:
    tensors = files.load_tensors(path)
    del tensors["model.classifiers.bias"]
    sealed_tensors.save(path, tensors, OWNER)


def other_shapes(path: Path) -> None:
    save_steps(path.parent / "other", 9, width=5)
    saved(path.parent / "other")[9].replace(path)


def of_another_identity(path: Path) -> None:
    sealed_tensors.save(path, files.load_tensors(path), b"another")


def without_a_seal(path: Path) -> None:
    files.save_tensors(path, files.load_tensors(path))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


HARMS = (
    cut_whole, cut_half, flip_a_bit, take_a_tensor, other_shapes, of_another_identity, without_a_seal, a_folder, a_pipe,
)  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_a_bad_checkpoint_is_set_aside_and_the_one_before_is_used(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    save_steps(tmp_path / "c", 1, 2)
    newest = saved(tmp_path / "c")[2]
    harm(newest)
    checkpoint, model = make_checkpoint(tmp_path / "c")
    assert checkpoint.restore() == 1
    assert (model.classifiers.bias == 1).all()
    assert len(caplog.messages) == 1
    assert str(newest) in caplog.messages[0]
    assert newest.with_name(f"{newest.name}.bad").exists()
    checkpoint.save(2)
    assert saved(tmp_path / "c").keys() == {1, 2}


def test_without_any_good_checkpoint_the_stage_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_steps(tmp_path / "c", 1, 2)
    for path in saved(tmp_path / "c").values():
        cut_half(path)
    checkpoint, model = make_checkpoint(tmp_path / "c")
    assert checkpoint.restore() == 0
    assert (model.classifiers.bias == 0).all()
    assert len(caplog.messages) == 2


def test_a_checkpoint_without_permission_is_set_aside_with_that_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_steps(tmp_path / "c", 1, 2)
    with forbidden(saved(tmp_path / "c")[2]):
        assert make_checkpoint(tmp_path / "c")[0].restore() == 1
    assert "Permission denied" in caplog.messages[0]
    assert "damaged" not in caplog.messages[0]


@pytest.mark.parametrize("steps", [(1,), (1, 2), (1, 2, 3)])
def test_the_restored_checkpoint_is_overwritten_last(tmp_path: Path, steps: tuple[int, ...]) -> None:
    save_steps(tmp_path / "c", *steps)
    checkpoint, _ = make_checkpoint(tmp_path / "c")
    assert checkpoint.restore() == steps[-1]
    checkpoint.save(9)
    assert saved(tmp_path / "c").keys() == {steps[-1], 9}


def test_files_are_forced_to_the_disk_before_they_take_the_place_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, _ = make_checkpoint(tmp_path / "c")
    calls = watch(monkeypatch)
    for step in (1, 2):
        checkpoint.save(step)
    names = [f"model-0-of-1-{turn}.safetensors" for turn in "ab"]
    assert calls == [call for name in names for call in (("fsync", "tmp"), ("replace", "tmp", name), ("fsync", "c"))]


def test_ranks_go_back_to_the_newest_step_that_all_have_whole(tmp_path: Path) -> None:
    of_ranks = {rank: checkpoint_of_rank(tmp_path, rank, others=[]) for rank in (0, 1)}
    for step in (3, 4):
        for own, _ in of_ranks.values():
            own.save(step)
    cut_half(tmp_path / "c" / "model-1-of-2-b.safetensors")
    assert checkpoint_of_rank(tmp_path, 1, others=[3, 4])[0].restore() == 3
    checkpoint, _ = checkpoint_of_rank(tmp_path, 0, others=[3, -1])
    assert checkpoint.restore() == 3
    checkpoint.save(5)
    assert saved(tmp_path / "c").keys() >= {3, 5}
    assert {int(files.load_tensors(path, "step")["step"]) for path in (tmp_path / "c").glob("model-0-*")} == {3, 5}


def checkpoint_of_rank(tmp_path: Path, rank: int, *, others: list[int]) -> tuple[Checkpoint, TrainingState]:
    """A checkpoint of one of two ranks, whose other one says it has the steps `others`."""

    class Pair(Ranks):
        def all_gather(self, array: np.ndarray) -> list[tuple[np.ndarray]]:
            return [(array,), (np.array(others),)]

        def barrier(self) -> None:
            pass

    return make_checkpoint(tmp_path / "c", ranks=Pair(rank, 2))


STOPPED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support import tiny_dataset
from xmlcli.stages import train_clf

class Halting(train_clf.Checkpoint):
    def tick(self, step, check):
        super().tick(step, check)
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
