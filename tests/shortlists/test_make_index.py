"""Which index a configuration gives, what it searches, and the prior and the recall measured on shortlists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from support.fake_stages import make_config
from support.planted_data import labels, sparse_rows, unit_rows

from xmlcli.label_embeddings.proxy import label_bonus
from xmlcli.shortlists.make_index import LabelVectors, choose_bonus, make_index, recall

Floats = npt.NDArray[np.float32]
PRIORS = (0.0, 1e-9, 0.02, 0.05, 0.1, 0.3, 3.0)
CONFIG = make_config().shortlist
BACKENDS = ("words", "exact", "nmslib")
L, F, D = 30, 25, 8


def label_vectors(num_labels: int = L, *, largest_bonus: float = 0.0) -> LabelVectors:
    rng = np.random.default_rng(0)
    bonus = (largest_bonus * rng.random(num_labels)).astype(np.float32)
    return LabelVectors(unit_rows(num_labels, D, 0), bonus, sparse_rows(num_labels, F, 6, rng))


def some_documents(rows: int) -> tuple[sp.csr_matrix, Floats]:
    """The words and the vectors of documents."""
    return sparse_rows(rows, F, 6, np.random.default_rng(1)), unit_rows(rows, D, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_scores_by_its_cosines_and_the_bonus(backend: str) -> None:
    config = replace(CONFIG, backend=backend, vectors=0.3, mask_unseen=False)
    vectors, (X, documents) = label_vectors(largest_bonus=0.5), some_documents(10)
    indices, scores = make_index(vectors, np.zeros(L, np.float32), config).search(documents, L, X=X)
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
        indices, _ = make_index(label_vectors(), frequencies, config).search(documents, L, X=X)
        seen = np.unique(indices)
        assert np.isin(np.flatnonzero(frequencies == 0), seen).any() != masked
        assert np.isin(np.flatnonzero(frequencies), seen).all()
        assert (seen == L).any() == masked  # the rest is padding


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_searchable_or_nothing_asked_gives_padding(backend: str) -> None:
    for masked, rows in ((True, 2), (False, 0)):
        config = replace(CONFIG, backend=backend, mask_unseen=masked)
        X, documents = some_documents(2)
        index = make_index(label_vectors(), np.zeros(L, np.float32), config)
        indices, scores = index.search(documents[:rows], 3, X=X[:rows])
        assert (indices.shape, indices.dtype, scores.dtype) == ((rows, 3), np.int32, np.float32)
        assert (indices == L).all()
        assert np.isneginf(scores).all()


def recalled(
    words: sp.csr_matrix, frequencies: Floats, bonus: Floats, X: sp.csr_matrix, Y: sp.csr_matrix, k: int
) -> int:
    """Count by loops the pairs that shortlists with this bonus hold; labels without documents stay out."""
    scores = (X @ words.T).toarray() + bonus
    scores[:, frequencies == 0] = -np.inf
    truth = Y.toarray()
    return int(sum(truth[i, np.argsort(-row, kind="stable")[:k]].sum() for i, row in enumerate(scores)))


@pytest.mark.parametrize("seed", range(4))
def test_the_bonus_chosen_is_the_first_of_the_best_recall(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words, X = sparse_rows(L, F, 5, rng), sparse_rows(50, F, 5, rng)
    Y = labels(50, L, rng.integers(0, 4, 50), rng)
    frequencies = np.round(rng.exponential(20, L)).astype(np.float32)
    frequencies[:3] = 0
    searchable = frequencies > 0
    bonuses = [label_bonus(frequencies, 50, prior=prior, base_rate=rate) for prior in PRIORS for rate in (0.0, 0.2)]
    values = [recalled(words, frequencies, bonus, X, Y, 6) for bonus in bonuses]
    assert len(set(values)) > 2
    assert choose_bonus(words, bonuses, searchable, X, Y, 6) == int(np.argmax(values))
    assert choose_bonus(words, bonuses[::-1], searchable, X, Y, 6) == int(np.argmax(values[::-1]))
    alike = [label_bonus(frequencies, 50, prior=prior, base_rate=0.0) for prior in (0.02, 0.02 + 1e-8)]
    assert choose_bonus(words, alike, searchable, X, Y, 6) == choose_bonus(words, alike[::-1], searchable, X, Y, 6) == 0


def test_the_bonus_is_the_first_where_there_is_no_choice_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmlcli.shortlists.make_index.WordIndex", None)  # nothing is searched
    rng = np.random.default_rng(0)
    words, X, Y = sparse_rows(L, F, 5, rng), sparse_rows(4, F, 5, rng), labels(4, L, np.ones(4, int), rng)
    bonuses, searchable = [np.full(L, 0.2, np.float32), np.arange(L, dtype=np.float32)], np.ones(L, np.bool_)
    assert choose_bonus(words, bonuses[:1], searchable, X, Y, 5) == 0
    assert choose_bonus(words, bonuses, searchable, X, sp.csr_matrix((4, L), dtype=np.float32), 5) == 0
    assert choose_bonus(words, bonuses, searchable, X[:0], Y[:0], 5) == 0


def test_recall_counts_pairs_and_not_padding() -> None:
    Y = sp.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]], np.float32))
    indices = np.array([[1, 2, 0], [0, 1, 2], [0, 1, 4], [4, 4, 4]], np.int32)
    assert recall(indices, Y) == 2 / 4
    assert recall(np.full((1, 2), 3, np.int32), sp.csr_matrix((1, 3), dtype=np.float32)) == 0.0
