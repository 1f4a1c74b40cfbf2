"""Word centroids against dense sums and a worked example."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from support.planted_data import labels, sparse_rows

from xmlcli.label_embeddings.word_centroids import label_frequencies, word_centroids
from xmlcli.machine import threads


def test_word_centroids_are_unit_sums_without_their_smallest_entries() -> None:
    rng = np.random.default_rng(3)
    X = sp.csr_matrix(rng.random((60, 40)) * (rng.random((60, 40)) < 0.3) * np.geomspace(1, 0.01, 40), dtype=np.float32)
    Y = sp.hstack([labels(60, 4, np.full(60, 2), rng), sp.csr_matrix((60, 2))], format="csr", dtype=np.float32)
    text = sp.random(6, 40, 0.1, format="csr", dtype=np.float32, random_state=rng).tolil()
    text[4] = 0  # a label with neither documents nor text; the last has text only
    for given in (None, text.tocsr()):
        sums = Y.T.toarray() @ X.toarray() + (0 if given is None else given.toarray())
        wanted = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        found = word_centroids(X, Y, given)
        assert (found.dtype, found.shape) == (np.float32, (6, 40))
        assert np.allclose(found.toarray(), np.where(wanted < 0.05, 0, wanted), atol=1e-5)
        assert 0 < found.nnz == (wanted >= 0.05).sum() < (wanted >= 0.04).sum()
        assert found[4].nnz == 0
        assert (found[5].nnz > 0) == (given is not None)


def test_word_centroids_of_a_worked_example() -> None:
    X = sp.csr_matrix(np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], np.float32))
    Y = sp.csr_matrix(np.array([[1, 0], [0, 1], [0, 1]], np.float32))
    half = 0.5**0.5
    assert np.allclose(word_centroids(X, Y, None).toarray(), [[0.6, 0.8, 0], [half, 0, half]])
    text = sp.csr_matrix(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], np.float32))
    assert np.allclose(word_centroids(X, Y, text).toarray()[1], [2 / 5**0.5, 0, 1 / 5**0.5])


def test_threads_change_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, Y = sparse_rows(80, 30, 4, rng), labels(80, 70, np.full(80, 3), rng)
    found = []
    for count in (1, 3):
        monkeypatch.setattr(threads, "num_threads", lambda count=count: count)
        found.append(word_centroids(X, Y, None))
    assert found[0].shape == found[1].shape == (70, 30)
    assert (found[0] != found[1]).nnz == 0


def test_label_frequencies_count_documents() -> None:
    Y = sp.csr_matrix(np.array([[1, 0, 1], [1, 0, 0]], np.float32))
    found = label_frequencies(Y)
    assert (found.dtype, found.tolist()) == (np.float32, [2, 0, 1])
