"""What a validation document counts, against dense products."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.prediction.validation_weights import novelty_weights


def rows(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.abs(rng.standard_normal((count, 40))) * (rng.random((count, 40)) < 0.15)
    return (found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def test_a_document_counts_what_is_new_in_it() -> None:
    documents, training = rows(0, 900), rows(1, 30)
    training[:10] = documents[:10]
    found = novelty_weights(sp.csr_matrix(documents), sp.csr_matrix(training))
    assert found.dtype == np.float32
    assert np.allclose(found, 1 - (documents @ training.T).max(axis=1), atol=1e-5)
    assert (np.abs(found[:10]) < 1e-5).all()


def test_all_count_where_too_little_is_new() -> None:
    eye = np.eye(450, dtype=np.float32)
    assert novelty_weights(sp.csr_matrix(eye[:300]), sp.csr_matrix(eye[100:])).tolist() == [1.0] * 300
    assert novelty_weights(sp.csr_matrix(eye[:300]), sp.csr_matrix(eye[250:])).tolist() == [1.0] * 250 + [0.0] * 50
    assert novelty_weights(sp.csr_matrix(eye[:0]), sp.csr_matrix(eye)).tolist() == []
