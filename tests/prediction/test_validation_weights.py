"""What a validation document counts, against dense products."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from support.planted_data import sparse_rows
from support.threads_as_ranks import on_ranks

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


def test_near_documents_of_any_rank_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmlcli.prediction.validation_weights._ENOUGH", 1.0)
    monkeypatch.setattr("xmlcli.prediction.validation_weights.POSTINGS", 30)  # so that frequent words are left out
    documents, training = sp.csr_matrix(rows(0, 300)), sp.csr_matrix(rows(1, 60))
    wanted = novelty_weights(documents, training)
    assert not np.allclose(wanted, 1 - (documents @ training.T).toarray().max(axis=1), atol=1e-3)
    for found in on_ranks(3, lambda ranks: novelty_weights(documents, training[ranks.share(60)], ranks)):
        assert np.allclose(found, wanted, atol=1e-6)


def test_what_one_document_was_near_to_is_forgotten_for_the_next() -> None:
    """Of many training documents each shares words with few, so that only what was touched is cleared."""
    rng = np.random.default_rng(5)
    documents, training = sparse_rows(400, 4000, 3, rng), sparse_rows(3000, 4000, 3, rng)
    found = novelty_weights(documents, training)
    assert np.allclose(found, 1 - (documents @ training.T).toarray().max(axis=1), atol=1e-5)
