"""What is on the disk before a snapshot's folder takes its place."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.system_calls import watch

from xmlcli.runs import publishing


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_files_and_folders_of_a_snapshot_are_on_the_disk_before_it_has_its_name(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(*_: Any) -> None:
        raise OSError

    (tmp_path / "Z.npy").write_bytes(b"numbers")
    if not links:
        monkeypatch.setattr(os, "link", impossible)
    calls = watch(monkeypatch)
    training: Any = SimpleNamespace(workspace=SimpleNamespace(root=tmp_path / "7"))
    sources = {Path("artifacts/demo/labels/Z.npy"): tmp_path / "Z.npy"}
    publishing._write(training, sources, {Path("runs/demo/prepare.json"): b"{}"})
    *inside, folder, renamed, above = calls
    names = ["Z.npy"] * (not links) + ["prepare.json"]
    assert inside[: len(names)] == [("fsync", name) for name in names]
    assert sorted(inside[len(names) :]) == [
        ("fsync", name) for name in ("demo", "demo", "labels", "tmp/artifacts", "tmp/runs")
    ]
    assert [folder, renamed, above] == [("fsync", "tmp"), ("replace", "tmp", "7"), ("fsync", tmp_path.name)]
    kept = tmp_path / "7" / "artifacts" / "demo" / "labels" / "Z.npy"
    assert kept.read_bytes() == b"numbers"
    assert kept.samefile(tmp_path / "Z.npy") == links
