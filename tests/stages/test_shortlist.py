"""Stage shortlist: block by block it finds what it finds at once, and says how far it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tiny_dataset import opened, run, write_dataset

from xmlcli.runs import runner
from xmlcli.stages import shortlist
from xmlcli.stages.call import Ref


@pytest.mark.parametrize("backend", ["words", "exact"])
def test_blocks_find_what_one_search_finds(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_dataset(tmp_path / "data" / "tiny")
    whole = run(tmp_path / "whole", dataset, "default", shortlist__backend=backend).workspace
    monkeypatch.setattr(shortlist, "_BLOCK", 64)
    blocks = run(tmp_path / "blocks", dataset, "default", shortlist__backend=backend).workspace
    for cycle in (1, 2):
        folders = [workspace.artifact(Ref("shortlist", cycle)) for workspace in (whole, blocks)]
        names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
        assert names[0] == names[1]
        assert ("proposals.npy" in names[0]) == (backend == "words" and cycle == 1)
        for name in (name for name in names[0] if name.endswith(".npy")):
            wanted, found = (np.sort(np.load(folder / name).astype(np.float64)) for folder in folders)
            assert np.allclose(found, wanted, atol=2e-3), (cycle, name)
        assert (folders[0] / "report.json").read_bytes() == (folders[1] / "report.json").read_bytes()


def test_every_cycle_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "_BLOCK", 64)
    session, calls = opened(tmp_path, write_dataset(tmp_path / "data" / "tiny"), "default")
    told: dict[str, list[tuple[int, int]]] = {}
    begun: list[str] = []

    def progress(what: str, done: int, of: int) -> None:
        if what == "shortlist" and begun[-1].startswith("shortlist"):
            told.setdefault(begun[-1], []).append((done, of))

    session = replace(session, progress=progress, on_start=lambda call, reason: begun.append(call.name))
    runner.run(session, calls, calls)
    assert set(told) == {"shortlist-1", "shortlist-2"}
    for heard in told.values():
        assert heard == sorted(heard)
        assert {64, 128, 192, 200} <= {done for done, _ in heard}
        assert {of for _, of in heard} == {200}
