"""When checkpoints are saved."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from fakes import drawn_model, make_config

from xmlcli.stages import checkpoint
from xmlcli.stages.checkpoint import Checkpoint


def test_saving_takes_a_twentieth_of_the_time_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    found = Checkpoint(tmp_path / "model.safetensors", drawn_model(4, 3, make_config().model, "adam"), 30.0)
    save, saved = found.save, []

    def slow(step: int) -> None:
        saved.append(now[0])
        monkeypatch.setattr(
            checkpoint.files, "save_tensors", lambda path, tensors: (now.append(now.pop() + 5), path.touch())
        )
        save(step)

    monkeypatch.setattr(found, "save", slow)
    for step in range(400):
        now[0] += 1
        found.tick(step)
    assert saved[0] == 30
    assert all(later - earlier >= 100 for earlier, later in pairwise(saved))
    assert len(saved) > 2
