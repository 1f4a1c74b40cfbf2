"""That damage of the same size is noticed, and that files are hashed once only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.permissions import forbidden
from support.small_artifact import MADE_BY, read_shortlist, write_shortlist

from xmlcli.errors import DamagedFileError
from xmlcli.storage import files, verification, writing
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.verification import SMALL, VerifiedFiles, find_damage, verify_opened

LARGE_ROWS = SMALL // 4


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "scratch" / "verified.json"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that were hashed."""
    names: list[str] = []
    whole = verification._sha256

    def watched(path: Path, advance: Callable[[int], None]) -> str:
        names.append(path.name)
        return whole(path, advance)

    monkeypatch.setattr(verification, "_sha256", watched)
    return names


def write_large(folder: Path, *, verified: Path | None = None, rows: int = LARGE_ROWS) -> Artifact:
    """An artifact with two large files, `indices.npy` and `scores.npy`, and a small one."""
    with writing.writer(folder, "shortlist", verified=verified) as out:
        out.array("indices.npy", np.zeros((rows, 1), np.int32))
        out.array("scores.npy", np.ones((rows, 1), np.float32))
        out.json("report.json", {"recall": 0.5})
    return read_shortlist(folder)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["report.json", "scores.npy"])
def test_a_flipped_bit_is_refused_with_path_expected_found_and_command(tmp_path: Path, record: Path, name: str) -> None:
    found = write_large(tmp_path / "s", verified=record)
    verify_opened([found], record)
    path = tmp_path / "s" / name
    flip(path)
    with pytest.raises(DamagedFileError) as error:
        verify_opened([found], record)
    assert error.value.name == name
    expected = found.entries[name]["sha256"]
    for part in (f"where: {path}", f"expected: sha256 {expected}", files.sha256_file(path), f"what to do: {MADE_BY}"):
        assert part in str(error.value)


def test_a_large_file_is_hashed_once_and_again_when_it_was_touched(
    tmp_path: Path, record: Path, hashed: list[str]
) -> None:
    found = write_large(tmp_path / "s")
    verify_opened([found], record)
    assert hashed == ["indices.npy", "scores.npy", "report.json"]
    hashed.clear()
    verify_opened([found], record)
    assert hashed == ["report.json"]
    os.utime(tmp_path / "s" / "scores.npy", ns=(1, 1))
    hashed.clear()
    verify_opened([found], record)
    assert hashed == ["scores.npy", "report.json"]


def test_what_was_just_written_is_not_hashed_again(tmp_path: Path, record: Path, hashed: list[str]) -> None:
    verify_opened([write_large(tmp_path / "s", verified=record)], record)
    assert hashed == ["report.json"]


def test_another_file_of_the_same_size_and_time_is_hashed(tmp_path: Path, record: Path) -> None:
    found = write_large(tmp_path / "s", verified=record)
    path = tmp_path / "s" / "scores.npy"
    before = path.stat()
    other = tmp_path / "other"
    other.write_bytes(path.read_bytes()[:-1] + b"\1")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    with pytest.raises(DamagedFileError, match=r"scores\.npy"):
        verify_opened([found], record)


def test_hard_links_need_no_hashing_also_when_the_artifact_was_made_again(
    tmp_path: Path, record: Path, hashed: list[str]
) -> None:
    write_large(tmp_path / "s", verified=record)
    (tmp_path / "copy").mkdir()
    for path in (tmp_path / "s").iterdir():
        (tmp_path / "copy" / path.name).hardlink_to(path)
    write_large(tmp_path / "s", verified=record)
    verify_opened([read_shortlist(tmp_path / "copy"), read_shortlist(tmp_path / "s")], record)
    assert hashed == ["report.json", "report.json"]


@pytest.mark.parametrize("harm", ["lost", "damaged", "other form", "nested", "a folder", "forbidden", "not writable"])
def test_a_bad_record_is_done_without(tmp_path: Path, record: Path, harm: str) -> None:
    found = write_large(tmp_path / "s", verified=record)
    if harm == "lost":
        record.unlink()
    elif harm == "a folder":
        record.unlink()
        record.mkdir()
    elif harm == "not writable":
        record.unlink()
        record.parent.rmdir()
        record.parent.write_text("a file where the folder should be")
    elif harm == "forbidden":
        with forbidden(record):
            verify_opened([found], record)
    else:
        content = {
            "damaged": b"\xff{",
            "other form": b'{"artifacts": [3, ["x"], ["y", 1], ["z", {"a": 2, "b": [[1e999, "1"], 4]}], [{}, {}]]}',
            "nested": b"[" * 100_000,
        }
        record.write_bytes(content[harm])
    verify_opened([found], record)
    flip(tmp_path / "s" / "scores.npy")
    with pytest.raises(DamagedFileError):
        verify_opened([found], record)


def test_everything_is_hashed_on_demand_and_what_is_bad_goes_off_the_record(tmp_path: Path, record: Path) -> None:
    found = write_large(tmp_path / "s", verified=record)
    path = tmp_path / "s" / "scores.npy"
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    verify_opened([found], record)  # as if a disk had turned the bit
    flip(tmp_path / "s" / "report.json")
    told: list[tuple[int, int]] = []

    def progress(label: str, done: int, total: int) -> None:
        told.append((done, total))

    damage = list(find_damage([found], VerifiedFiles(record), everything=True, progress=progress))
    assert [(owner, error.name) for owner, error in damage] == [(found, "scores.npy"), (found, "report.json")]
    assert told[-1] == (2, 2)
    with pytest.raises(DamagedFileError, match=r"scores\.npy"):
        verify_opened([found], record)


def test_a_file_without_permission_is_not_called_damaged(tmp_path: Path, record: Path) -> None:
    write_shortlist(tmp_path / "s")
    found = read_shortlist(tmp_path / "s")
    path = tmp_path / "s" / "scores.npy"
    with forbidden(path):
        with pytest.raises(PermissionError) as error:
            verify_opened([found], record)
        assert error.value.filename == str(path)


def test_a_file_that_is_gone_since_is_told(tmp_path: Path, record: Path) -> None:
    write_shortlist(tmp_path / "s")
    found = read_shortlist(tmp_path / "s")
    (tmp_path / "s" / "scores.npy").unlink()
    with pytest.raises(DamagedFileError, match="No such file"):
        verify_opened([found], record)


def test_the_record_keeps_the_newest_artifacts_only(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_MOST_ARTIFACTS", 2)
    for i, artifact in enumerate(["a", "b", "a", "c"]):
        verification.record_written(record, artifact, {"X.npz": [SMALL, i, 7], "small.json": [1, i, 7]})
    verified = VerifiedFiles(record)
    assert not verified.has("b", "X.npz", [SMALL, 1, 7])
    assert verified.has("a", "X.npz", [SMALL, 0, 7])
    assert verified.has("a", "X.npz", [SMALL, 2, 7])
    assert verified.has("c", "X.npz", [SMALL, 3, 7])
    assert not verified.has("c", "small.json", [1, 3, 7])
