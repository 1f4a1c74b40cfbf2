"""Single files and folders: the stored form of a matrix, and that what is replaced is old or new."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmlcli.storage import files


def test_matrices_are_stored_in_canonical_form_and_left_as_they_are(tmp_path: Path) -> None:
    messy = sp.csr_matrix((np.ones(3, np.float32), np.array([2, 0, 0]), np.array([0, 3])), shape=(1, 3))
    files.save_csr(tmp_path / "m.npz", messy)
    stored = files.load_csr(tmp_path / "m.npz")
    assert stored.has_canonical_format
    assert stored.toarray().tolist() == [[2, 0, 1]]
    assert messy.nnz == 3


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
