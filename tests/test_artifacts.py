"""Artifacts: round trip, same bytes, what a damaged one says, and that a folder is whole or absent."""

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

from xmlcli import artifacts, files, writing
from xmlcli.errors import ArtifactError
from xmlcli.kinds import KINDS
from xmlcli.writing import Writer

MADE_BY = "xmlcli shortlist --dataset demo --cycle 1"


def write_shortlist(folder: Path, *, fill: int = 1, n: int = 3, k: int = 2) -> None:
    with writing.writer(folder, "shortlist") as out:
        out.array("indices.npy", np.full((n, k), fill, dtype=np.int32))
        out.array("scores.npy", np.ones((n, k), dtype=np.float32))
        out.json("report.json", {"recall": 0.5, "β": [1, 2]})


def read_shortlist(folder: Path) -> artifacts.Artifact:
    return artifacts.read(folder, "shortlist", made_by=MADE_BY)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    found = read_shortlist(tmp_path / "s")
    assert np.array_equal(found.array("indices.npy"), np.ones((3, 2)))
    assert found.array("scores.npy", mmap=True).dtype == np.float32
    assert found.json("report.json") == {"recall": 0.5, "β": [1, 2]}
    assert found.dims == {"N": 3, "k": 2}
    found.verify_content()


def test_tensors_and_matrices_are_read_again(tmp_path: Path) -> None:
    X = sp.random(5, 7, 0.4, format="csr", dtype=np.float32, random_state=1)
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.bfloat16)}
    with writing.writer(tmp_path / "clf", "clf") as out:
        out.tensors("model.safetensors", tensors)
        out.tensors("optimiser.safetensors", {})
        out.csr("linear.npz", X)
        out.json("state.json", {})
    found = artifacts.read(tmp_path / "clf", "clf", made_by=MADE_BY)
    read = found.tensors("model.safetensors")
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    assert (found.csr("linear.npz") != X).nnz == 0
    assert found.entries["model.safetensors"]["tensors"] == {"a": "BF16 [2, 2]", "b": "F32 [3]"}
    paths = [tmp_path / "clf" / name for name in ("model.safetensors", "linear.npz")]
    assert found.inference_bytes() == sum(path.stat().st_size for path in paths)


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


def test_matrices_are_stored_in_canonical_form_and_left_as_they_are(tmp_path: Path) -> None:
    messy = sp.csr_matrix((np.ones(3, np.float32), np.array([2, 0, 0]), np.array([0, 3])), shape=(1, 3))
    files.save_csr(tmp_path / "m.npz", messy)
    stored = files.load_csr(tmp_path / "m.npz")
    assert stored.has_canonical_format
    assert stored.toarray().tolist() == [[2, 0, 1]]
    assert messy.nnz == 3


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
    first, whole = artifacts.identity(tmp_path / "s"), getattr(files, step)

    def fail(path: Path) -> str:
        if path.name == "indices.npy":
            raise OSError("no space left on device")
        return whole(path)  # type: ignore[no-any-return]

    monkeypatch.setattr(files, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_shortlist(tmp_path / "s", fill=2)
    assert artifacts.identity(tmp_path / "s") == first
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


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


def test_an_absent_artifact_says_where_what_and_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as error:
        read_shortlist(tmp_path / "s")
    text = str(error.value)
    for part in (str(tmp_path / "s"), "expected: a complete shortlist artifact", "found: nothing", MADE_BY):
        assert part in text


def test_a_folder_without_manifest_is_no_artifact(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    (tmp_path / "s" / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"a folder without manifest\.json"):
        read_shortlist(tmp_path / "s")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"format": 1', '"format": 0', "another version"),
        ('"kind": "shortlist"', '"kind": "labels"', "not of the kind"),
        ("{", "", "damaged"),
        ('"scores.npy"', '"points.npy"', "not complete"),
        ('"shape": [3, 2]', '"shape": [3, 3]', "does not fit"),
        ('"dtype": "float32"', '"dtype": "float64"', "does not fit"),
    ],
)
def test_a_manifest_that_disagrees_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    write_shortlist(tmp_path / "s")
    manifest = tmp_path / "s" / "manifest.json"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    with pytest.raises(ArtifactError, match=words):
        read_shortlist(tmp_path / "s")


def test_a_file_cut_short_or_gone_is_noticed_without_hashing(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    path = tmp_path / "s" / "scores.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"found: \d+ bytes"):
        read_shortlist(tmp_path / "s")
    path.unlink()
    with pytest.raises(ArtifactError, match="found: no file"):
        read_shortlist(tmp_path / "s")


def test_a_changed_byte_is_noticed_on_demand(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    path = tmp_path / "s" / "scores.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    found = read_shortlist(tmp_path / "s")
    with pytest.raises(ArtifactError, match="sha256"):
        found.verify_content()


def test_a_header_that_is_not_the_manifests_is_noticed_when_read(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    path = tmp_path / "s" / "scores.npy"
    np.save(path, np.ones((2, 3), dtype=np.float32))
    with pytest.raises(ArtifactError, match=r"float32 \[2, 3\]"):
        read_shortlist(tmp_path / "s").array("scores.npy")


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    path = tmp_path / "s" / "scores.npy"
    size = path.stat().st_size
    np.save(path, np.array([None]), allow_pickle=True)
    path.write_bytes(path.read_bytes().ljust(size, b"\0")[:size])
    with pytest.raises(ArtifactError, match="damaged"):
        read_shortlist(tmp_path / "s").array("scores.npy")


def test_tensors_are_read_as_arrays_too(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2)}
    with writing.writer(tmp_path / "clf", "clf") as out:
        out.tensors("model.safetensors", tensors)
        out.json("state.json", {})
    found = artifacts.read(tmp_path / "clf", "clf", made_by=MADE_BY)
    arrays = found.numpy_tensors("model.safetensors")
    assert arrays.keys() == tensors.keys()
    assert all(np.array_equal(arrays[name], tensor.numpy()) for name, tensor in tensors.items())
    path = tmp_path / "clf" / "model.safetensors"
    path.write_bytes(b"\xff" * path.stat().st_size)
    for read in (found.numpy_tensors, found.tensors):
        with pytest.raises(ArtifactError, match="damaged"):
            read("model.safetensors")


def test_an_optional_file_left_out_is_told(tmp_path: Path) -> None:
    with writing.writer(tmp_path / "clf", "clf") as out:
        out.tensors("model.safetensors", {})
        out.tensors("optimiser.safetensors", {})
        out.json("state.json", {})
    found = artifacts.read(tmp_path / "clf", "clf", made_by=MADE_BY)
    assert not found.has("linear.npz")
    with pytest.raises(ArtifactError, match="made without it"):
        found.csr("linear.npz")


def test_artifacts_of_other_shapes_do_not_belong_together(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "a", n=3)
    write_shortlist(tmp_path / "b", n=4)
    pair = {name: read_shortlist(tmp_path / name) for name in "ab"}
    with pytest.raises(ArtifactError, match="N = 3"):
        artifacts.check_agree(pair)


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
        from xmlcli import writing
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


def test_a_folder_is_replaced_at_once_and_the_next_of_its_owner_sweeps_up(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    for content in ("old", "new"):
        with files.atomic_folder(target, ".7") as folder:
            (folder / "a").write_text(content)
    (target.parent / ".model.8.tmp").mkdir()  # what a kill left behind
    with pytest.raises(RuntimeError), files.atomic_folder(target, ".7") as folder:
        (folder / "a").write_text("half")
        raise RuntimeError
    assert (target / "a").read_text() == "new"
    assert sorted(path.name for path in target.parent.iterdir()) == [".model.8.tmp", "model"]
    with files.atomic_folder(target, ".8"):
        pass
    assert [path.name for path in target.parent.rglob("*")] == ["model"]


def test_an_atomic_file_is_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    files.write_json(path, {"step": 1})
    with pytest.raises(RuntimeError), files.atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert files.read_json(path) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]
