"""What `xmlcli doctor` says of a machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.command_line import main

from xmlcli.machine import doctor
from xmlcli.machine.doctor import Finding, examine

Patch = pytest.MonkeyPatch


def found(root: Path) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(root)}


def test_it_names_versions_the_processor_and_what_there_is_to_compute_with(tmp_path: Path) -> None:
    whats = set(found(tmp_path))
    assert whats >= {"xmlcli", "Python", "torch", "numba", "processor", "threads", "memory", "GPU", "disk"}


def test_cores_that_stay_idle_are_told(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(doctor, "num_threads", lambda: 3)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert found(tmp_path)["threads"].advice.startswith("5 of 8 cores stay idle")


@pytest.mark.parametrize(("limit", "text", "little"), [(str(3 << 30), "3.0 GiB of", True), ("max\n", "GiB", False)])
def test_memory_is_what_a_container_leaves(
    limit: str, text: str, little: bool, tmp_path: Path, monkeypatch: Patch
) -> None:
    (tmp_path / "limit").write_text(limit)
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path / "limit")
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 << 20}.__getitem__)
    memory = found(tmp_path)["memory"]
    assert text in memory.value
    assert bool(memory.advice) == little


def test_a_cache_of_kernels_that_is_empty_or_cannot_be_written_is_told(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert "once" in found(tmp_path)["compiled kernels"].advice
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "set NUMBA_CACHE_DIR" in found(tmp_path)["compiled kernels"].advice


def test_without_torch_it_says_that_prediction_needs_none(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "prediction with an exported model needs none" in found(tmp_path)["training"].advice


def test_the_command_prints_lines_or_json(monkeypatch: Patch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(monkeypatch, "doctor") == 0
    assert "processor " in capsys.readouterr().out
    assert main(monkeypatch, "doctor", "--json") == 0
    assert {"what", "value", "advice"} == set(json.loads(capsys.readouterr().out)[0])
