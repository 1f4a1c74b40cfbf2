"""Stage finish: validation documents count in the end, and in nothing before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tiny_dataset import finished_root, run, shared_dataset

from xmlcli.stages.finish import replace_rows
from xmlcli.stages.inputs import learnt_from, without_validation
from xmlcli.storage.artifacts import Artifact, read
from xmlcli.storage.workspace import Ref, Workspace

CHOICES = {"proxy__priors": [0.02], "proxy__base_rates": [0.0]}  # else validation documents choose among several
BEFORE = (Ref("clf", 0), Ref("labels", 1), Ref("clf", 1), Ref("labels", 2), Ref("clf", 2), Ref("labels", 3))


def artifact(workspace: Workspace, ref: Ref) -> Artifact:
    return read(workspace.artifact(ref), ref.kind, made_by="")


def with_other_validation_labels(dataset: Path, folder: Path, rows: list[int]) -> Path:
    """Copy a dataset, the labels of some training documents reversed among themselves."""
    folder.mkdir(parents=True)
    (folder / "test.txt").write_bytes((dataset / "test.txt").read_bytes())
    lines = (dataset / "train.txt").read_text().split("\n")
    labels, features = zip(*(line.split(" ", 1) for line in (lines[row + 1] for row in rows)), strict=True)
    for row, label, rest in zip(rows, reversed(labels), features, strict=True):
        lines[row + 1] = f"{label} {rest}"
    (folder / "train.txt").write_text("\n".join(lines))
    return folder


def test_nothing_before_the_combination_follows_from_labels_of_validation_documents(tmp_path: Path) -> None:
    one = run(tmp_path / "one", shared_dataset(), "default", **CHOICES).workspace
    rows = artifact(one, Ref("prepared")).array("validation_rows.npy").tolist()
    changed = with_other_validation_labels(shared_dataset(), tmp_path / "data" / "tiny", rows)
    other = run(tmp_path / "other", changed, "default", **CHOICES).workspace
    assert artifact(other, Ref("prepared")).array("validation_rows.npy").tolist() == rows
    for ref in BEFORE:
        assert artifact(one, ref).identity == artifact(other, ref).identity, ref
    for ref in (Ref("combination", 2), Ref("clf", 3), Ref("labels", 4)):
        assert artifact(one, ref).identity != artifact(other, ref).identity, ref


def test_only_linear_classifiers_of_labels_that_validation_documents_carry_are_trained_anew() -> None:
    workspace = Workspace(finished_root("default"), "tiny")
    prepared, before, after = (artifact(workspace, ref) for ref in (Ref("prepared"), Ref("clf", 2), Ref("clf", 3)))
    learnt = without_validation(prepared)
    assert (learnt_from(before), learnt_from(after)) == (learnt, prepared.dims["N"])
    old, new = before.numpy_tensors("model.safetensors"), after.numpy_tensors("model.safetensors")
    assert all(np.array_equal(old[name], new[name]) for name in old)
    carried = prepared.csr("Y_train.npz")[learnt:].getnnz(axis=0) > 0
    differs = np.array([(a != b).nnz > 0 for a, b in zip(*(c.csr("linear.npz") for c in (before, after)), strict=True)])
    assert carried.any()
    assert not carried.all()
    assert np.array_equal(differs, carried)


def test_a_label_that_only_validation_documents_carry_gets_negatives(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "test.txt").write_bytes((shared_dataset() / "test.txt").read_bytes())
    lines = (shared_dataset() / "train.txt").read_text().splitlines()
    rows = artifact(Workspace(finished_root("default"), "tiny"), Ref("prepared")).array("validation_rows.npy")
    labels, features = lines[rows[0] + 1].split(" ", 1)
    lines[rows[0] + 1] = f"15,{labels} {features}"  # label 15 has no other document
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    workspace = run(tmp_path / "root", folder, "default").workspace
    before, after = (artifact(workspace, Ref("clf", cycle)).csr("linear.npz")[15].toarray()[0] for cycle in (2, 3))
    assert not before[:-1].any()
    assert after[:-1].any()
    assert after[-1] != -1  # where the bias starts and, with its own document alone, stays


def test_rows_are_taken_from_the_other_matrix_where_chosen() -> None:
    sp = pytest.importorskip("scipy.sparse")
    one, other = sp.csr_matrix(np.eye(3)), sp.csr_matrix(2 * np.eye(3)[::-1])
    found = replace_rows(one, other, np.array([False, True, False]))
    assert found.toarray().tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 1]]
