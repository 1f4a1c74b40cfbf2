"""Writing artifacts: same bytes, what is refused, and that a folder is whole or absent."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from support.small_artifact import read_shortlist, write_shortlist
from support.system_calls import watch

from xmlcli.errors import ArtifactError
from xmlcli.storage import artifacts, files, writing
from xmlcli.storage.kinds import KINDS
from xmlcli.storage.writing import Writer


def test_the_same_content_has_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    X = sp.random(50, 20, 0.2, format="csr", dtype=np.float32, random_state=1)
    shuffled = sp.csr_matrix(sp.csr_matrix((X.T.tocsr()).T))
    for name, matrix in (("a", X), ("b", shuffled)):
        files.save_csr(tmp_path / f"{name}.npz", matrix)
        write_shortlist(tmp_path / name)
        time.sleep(2.1 if name == "a" else 0)  # archives hold times in steps of two seconds
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert artifacts.identity(tmp_path / "a") == artifacts.identity(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_new_artifact_replaces_the_old_one(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    first = artifacts.identity(tmp_path / "s")
    write_shortlist(tmp_path / "s", fill=2)
    assert artifacts.identity(tmp_path / "s") != first
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_an_error_while_writing_leaves_the_old_artifact(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    first = artifacts.identity(tmp_path / "s")
    with pytest.raises(RuntimeError), writing.writer(tmp_path / "s", "shortlist") as out:
        out.json("report.json", {})
        raise RuntimeError
    assert artifacts.identity(tmp_path / "s") == first
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("step", ["sync", "sha256_file"])
def test_a_file_that_cannot_be_kept_leaves_the_old_artifact(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shortlist(tmp_path / "s")
    owner = writing if step == "sync" else files
    first, whole = artifacts.identity(tmp_path / "s"), getattr(owner, step)

    def fail(path: Path) -> str:
        if path.name == "indices.npy":
            raise OSError("no space left on device")
        return whole(path)  # type: ignore[no-any-return]

    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_shortlist(tmp_path / "s", fill=2)
    assert artifacts.identity(tmp_path / "s") == first
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_files_then_manifest_then_folder_are_on_the_disk_before_the_artifact_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shortlist(tmp_path / "s")
    calls = watch(monkeypatch)
    write_shortlist(tmp_path / "s", fill=2)
    of_files = {("fsync", f"tmp/{name}") for name in ("indices.npy", "scores.npy", "report.json")}
    assert set(calls[:3]) == of_files
    assert calls[3:] == [
        ("fsync", "tmp/manifest.json"),
        ("fsync", "tmp"),
        ("rename", "s", "old"),
        ("replace", "tmp", "s"),
        ("fsync", tmp_path.name),
        ("rmtree", "old"),
    ]


def test_the_manifest_is_written_when_all_files_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = watch(monkeypatch)
    write = Path.write_bytes
    before: list[int] = []

    def watched(path: Path, content: bytes) -> int:
        if path.name == "manifest.json":
            before.append(len(calls))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", watched)
    write_shortlist(tmp_path / "s")
    assert before == [3]


def test_whoever_may_list_the_folder_may_read_its_files(tmp_path: Path) -> None:
    with writing.writer(tmp_path / "clf", "clf") as out:
        out.tensors("model.safetensors", {"w": torch.ones(2)})
        out.json("state.json", {})
    folder = (tmp_path / "clf").stat().st_mode
    assert all(path.stat().st_mode & 0o777 == folder & 0o666 for path in (tmp_path / "clf").glob("*.*"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("indices.npy", np.zeros((3, 2), np.int64)),
        ("indices.npy", np.zeros(3, np.int32)),
        ("scores.npy", np.zeros((4, 2), np.float32)),
        ("scores.npy", np.zeros((3, 9), np.float32)),
    ],
)
def test_another_dtype_or_shape_than_the_tables_is_refused(tmp_path: Path, name: str, values: np.ndarray) -> None:
    first = "scores.npy" if name == "indices.npy" else "indices.npy"
    dtype = KINDS["shortlist"][first].dtype
    with pytest.raises(ArtifactError, match="does not fit"), writing.writer(tmp_path / "s", "shortlist") as out:
        out.array(first, np.zeros((3, 2), dtype))
        out.array(name, values)
    assert not (tmp_path / "s").exists()


def test_a_file_the_kind_does_not_have_is_refused(tmp_path: Path) -> None:
    def extra(out: Writer) -> None:
        out.json("notes.json", {})

    def twice(out: Writer) -> None:
        out.json("report.json", {})
        out.json("report.json", {})

    def other_form(out: Writer) -> None:
        out.json("indices.npy", {})

    for write in (extra, twice, other_form):
        with pytest.raises(ArtifactError, match="cannot write"), writing.writer(tmp_path / "s", "shortlist") as out:
            write(out)


def test_an_incomplete_artifact_never_appears(tmp_path: Path) -> None:
    words = r"no indices.npy, scores.npy"
    with pytest.raises(ArtifactError, match=words), writing.writer(tmp_path / "s", "shortlist") as out:
        out.json("report.json", {})
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_what_json_has_no_word_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"), writing.writer(tmp_path / "s", "shortlist") as out:
        out.json("report.json", {"recall": float("nan")})


@pytest.mark.parametrize("moment", ["in the middle", "before the end"])
def test_kill_while_writing_leaves_the_old_artifact_and_the_next_write_works(tmp_path: Path, moment: str) -> None:
    write_shortlist(tmp_path / "s")
    first = artifacts.identity(tmp_path / "s")
    last_file = 'out.array("scores.npy", np.ones((3, 2), dtype=np.float32))' if moment == "before the end" else ""
    code = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from xmlcli.storage import writing
        with writing.writer(Path(sys.argv[1]), "shortlist") as out:
            out.array("indices.npy", np.full((3, 2), 7, dtype=np.int32))
            out.json("report.json", {{}})
            {last_file}
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], check=False)
    assert killed.returncode == -9
    assert artifacts.identity(tmp_path / "s") == first
    read_shortlist(tmp_path / "s").verify_content()
    write_shortlist(tmp_path / "s", fill=2)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
