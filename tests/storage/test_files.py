"""The stored form of a matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmlcli.storage import files


def test_matrices_are_stored_in_canonical_form_and_left_as_they_are(tmp_path: Path) -> None:
    messy = sp.csr_matrix((np.ones(3, np.float32), np.array([2, 0, 0]), np.array([0, 3])), shape=(1, 3))
    files.save_csr(tmp_path / "m.npz", messy)
    stored = files.load_csr(tmp_path / "m.npz")
    assert stored.has_canonical_format
    assert stored.toarray().tolist() == [[2, 0, 1]]
    assert messy.nnz == 3
