"""`xmlcli plan --verify` finds every damaged file, and `train` makes it again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.command_line import main
from support.fake_stages import FAKES
from support.permissions import forbidden

from xmlcli.runs import runner

WORDS = ("--dataset", "demo", "--set", "cycles=1")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """The root of a finished run of the fake stages."""
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=FAKES.__getitem__))
    assert main(monkeypatch, "train", *WORDS, "--root", str(tmp_path)) == 0
    capsys.readouterr()
    return tmp_path


def flip(path: Path) -> None:
    """Turn a bit without a change of size or time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_every_damaged_file_is_shown_under_its_call(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("plan", *WORDS, "--root", str(root), "--verify")
    assert main(monkeypatch, *words) == 0
    shown = capsys.readouterr()
    assert "demo: every file is as its manifest says" in shown.err
    folder = root / "artifacts" / "demo"
    paths = [folder / "prepared" / "X_train.npz", folder / "cycle1" / "shortlist" / "scores.npy"]
    paths += [folder / "cycle1" / "shortlist" / "report.json"]
    for path in paths:
        flip(path)
    (folder / "cycle0" / "clf" / "manifest.json").write_bytes(b"[" * 100_000)
    assert main(monkeypatch, *words) == 1
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    for path in paths:
        (line,) = [line for line in lines if str(path) in line]
        assert line.startswith("    ")
        assert "expected: sha256" in line
        assert "found: sha256" in line
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "prepare@demo", "init-clf@demo", "embed-labels@demo-1", "shortlist@demo-1", "train-clf@demo-1",
        "embed-labels@demo-2", "combine@demo-1", "finish@demo-1", "embed-labels@demo-3", "evaluate@demo-1",
    ]  # fmt: skip
    assert "the output is damaged: X_train.npz" in lines[0]
    assert lines[1].strip().startswith("a file of an artifact is damaged")
    assert str(folder / "cycle0" / "clf" / "manifest.json") in shown.out
    assert "xmlcli train --dataset demo" in shown.err
    assert main(monkeypatch, "train", *WORDS, "--root", str(root)) == 0
    assert main(monkeypatch, *words) == 0


def test_a_file_without_permission_is_told_as_such(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "artifacts" / "demo" / "prepared" / "X_train.npz"
    with forbidden(path):
        assert main(monkeypatch, "plan", *WORDS, "--root", str(root), "--verify") == 1
        out = capsys.readouterr().out
        assert f"    {path}: Permission denied" in out
        assert "a file of an artifact is damaged" not in out
        assert main(monkeypatch, "train", *WORDS, "--root", str(root)) == 2
        assert f"{path}: Permission denied" in capsys.readouterr().err
    assert main(monkeypatch, "plan", *WORDS, "--root", str(root), "--verify") == 0


def test_a_run_without_outputs_has_nothing_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "plan", *WORDS, "--root", str(tmp_path), "--verify") == 0
    assert "no output yet" in capsys.readouterr().out


def test_verifying_is_not_mixed_with_editing_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "plan", "--verify", "--write") == 2
    assert "--verify goes without" in capsys.readouterr().err


def test_a_damaged_record_is_one_line_and_its_call_runs_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "runs" / "demo" / "shortlist-1.json"
    path.write_bytes(b'{"a":' * 100_000)
    assert main(monkeypatch, "plan", *WORDS, "--root", str(root)) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"warning: {path} is damaged (it is nested too deeply) and is not used"]
    assert "nothing says what made the output" in shown.out
    assert main(monkeypatch, "train", *WORDS, "--root", str(root)) == 0
    assert main(monkeypatch, "plan", *WORDS, "--root", str(root)) == 0
