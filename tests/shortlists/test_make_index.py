"""Which index a configuration gives, and what it searches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from support.fake_stages import make_config
from support.planted_data import sparse_rows, unit_rows

from xmlcli.shortlists.make_index import SearchVectors, make_index, searchable_labels

Floats = npt.NDArray[np.float32]
CONFIG = make_config().shortlist
BACKENDS = ("words", "exact", "nmslib")
L, F, D = 30, 25, 8


def label_vectors(num_labels: int = L, *, largest_bonus: float = 0.0) -> SearchVectors:
    rng = np.random.default_rng(0)
    bonus = (largest_bonus * rng.random(num_labels)).astype(np.float32)
    return SearchVectors(unit_rows(num_labels, D, 0), bonus, sparse_rows(num_labels, F, 6, rng))


def some_documents(rows: int) -> tuple[sp.csr_matrix, Floats]:
    """The words and the vectors of documents."""
    return sparse_rows(rows, F, 6, np.random.default_rng(1)), unit_rows(rows, D, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_scores_by_its_cosines_and_the_bonus(backend: str) -> None:
    config = replace(CONFIG, backend=backend, vectors=0.3, mask_unseen=False)
    vectors, (X, documents) = label_vectors(largest_bonus=0.5), some_documents(10)
    indices, scores = make_index(vectors, np.ones(L, np.bool_), config).search(documents, L, X=X)
    cosines = documents @ vectors.Z.T
    wanted = (0.3 * cosines + (X @ vectors.words.T).toarray() if backend == "words" else cosines) + vectors.bonus
    assert np.allclose(scores, -np.sort(-wanted, axis=1), atol=2e-6)
    assert np.allclose(scores, np.take_along_axis(wanted, indices, axis=1), atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_labels_without_documents_are_shortlisted_only_when_not_masked(backend: str) -> None:
    frequencies = (np.arange(L) % 3).astype(np.float32)
    X, documents = some_documents(12)
    for masked in (True, False):
        config = replace(CONFIG, backend=backend, mask_unseen=masked)
        index = make_index(label_vectors(), searchable_labels(frequencies, config), config)
        indices, _ = index.search(documents, L, X=X)
        seen = np.unique(indices)
        assert np.isin(np.flatnonzero(frequencies == 0), seen).any() != masked
        assert np.isin(np.flatnonzero(frequencies), seen).all()
        assert (seen == L).any() == masked  # the rest is padding


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_searchable_or_nothing_asked_gives_padding(backend: str) -> None:
    for masked, rows in ((True, 2), (False, 0)):
        config = replace(CONFIG, backend=backend, mask_unseen=masked)
        X, documents = some_documents(2)
        index = make_index(label_vectors(), searchable_labels(np.zeros(L, np.float32), config), config)
        indices, scores = index.search(documents[:rows], 3, X=X[:rows])
        assert (indices.shape, indices.dtype, scores.dtype) == ((rows, 3), np.int32, np.float32)
        assert (indices == L).all()
        assert np.isneginf(scores).all()
