"""Artifacts: round trip, and what an absent or damaged one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from support.permissions import forbidden
from support.small_artifact import MADE_BY, read_shortlist, write_shortlist

from xmlcli.errors import ArtifactError
from xmlcli.storage import artifacts, writing


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
        ('"format": 1', '"format": 2', "another version"),
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


BAD_MANIFESTS = {
    "nothing": b"",
    "no object": b"[]",
    "nested": b'{"files":' * 100_000,
    "not UTF-8": b"\xff\xfe\xfd",
    "no files": b'{"format": 1, "kind": "shortlist"}',
    "files of another form": b'{"format": 1, "kind": "shortlist", "files": [1]}',
    "a format of many digits": b'{"format": 1' + b"0" * 4000 + b"}",
}


@pytest.mark.parametrize("content", BAD_MANIFESTS.values(), ids=BAD_MANIFESTS)
def test_a_damaged_manifest_is_refused_by_path_with_the_command(tmp_path: Path, content: bytes) -> None:
    write_shortlist(tmp_path / "s")
    (tmp_path / "s" / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError) as error:
        read_shortlist(tmp_path / "s")
    assert f"where: {tmp_path / 's' / 'manifest.json'}" in str(error.value)
    assert f"what to do: {MADE_BY}" in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("key", ["bytes", "sha256", "dtype", "shape"])
@pytest.mark.parametrize(
    "value", [None, "x", "0" * 65, -1, 1.5, True, [1, -2], [[3]], [True, 2], {"a": 1}, 10**30, [10**30, 2]]
)
def test_an_entry_of_another_form_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    write_shortlist(tmp_path / "s")
    path = tmp_path / "s" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["scores.npy"][key] = value
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        read_shortlist(tmp_path / "s")
    del manifest["files"]["scores.npy"][key]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        read_shortlist(tmp_path / "s")


def test_files_that_the_kind_does_not_have_are_never_opened(tmp_path: Path) -> None:
    write_shortlist(tmp_path / "s")
    path = tmp_path / "s" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["../../elsewhere"] = manifest["files"]["scores.npy"]
    path.write_text(json.dumps(manifest))
    assert set(read_shortlist(tmp_path / "s").entries) == {"indices.npy", "scores.npy", "report.json"}


def test_a_file_without_permission_is_not_called_damaged(tmp_path: Path) -> None:
    with writing.writer(tmp_path / "clf", "clf") as out:
        out.tensors("model.safetensors", {"w": torch.ones(2)})
        out.csr("linear.npz", sp.csr_matrix(np.eye(3, dtype=np.float32)))
        out.json("state.json", {})
    found = artifacts.read(tmp_path / "clf", "clf", made_by=MADE_BY)
    for name, read in (
        ("model.safetensors", found.tensors),
        ("model.safetensors", found.numpy_tensors),
        ("linear.npz", found.csr),
        ("linear.npz", found.mapped_csr),
        ("state.json", found.json),
    ):
        with forbidden(tmp_path / "clf" / name), pytest.raises(PermissionError) as error:
            read(name)
        assert error.value.filename == str(tmp_path / "clf" / name)
    with forbidden(tmp_path / "clf" / "manifest.json"), pytest.raises(PermissionError):
        artifacts.read(tmp_path / "clf", "clf", made_by=MADE_BY)


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
    with pytest.raises(ArtifactError, match="N = 4"):
        artifacts.check_agree(dict(reversed(pair.items())))
    artifacts.check_agree({"a": pair["a"], "also": pair["a"]})


@pytest.mark.parametrize("rows", [slice(0, 3), slice(0, 2), slice(1, 3), slice(2, 2)], ids=str)
def test_some_rows_of_an_array_are_those_asked_for(tmp_path: Path, rows: slice) -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    with writing.writer(tmp_path / "s", "shortlist") as out:
        out.array("indices.npy", values.astype(np.int32))
        out.array("scores.npy", values)
        out.json("report.json", {})
    found = read_shortlist(tmp_path / "s").array_rows("scores.npy", rows)
    assert found.tolist() == values[rows].tolist()
    assert not isinstance(found, np.memmap)
