"""Votes of near training documents against loops over all of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from support.paths import PIPELINES
from support.planted_data import collection, unit_rows

from xmlcli.config.load import load_config
from xmlcli.prediction.votes import Voters, make_voters

CONFIG = load_config(PIPELINES / "default.yaml", {}).shortlist
N, L = 80, 9
X, Y = collection(N, L, 0)
Z = unit_rows(N, 6, 0)
CANDIDATES = np.tile(np.array([3, 0, L, 8, 5], np.int32), (20, 1))


def by_loops(queries: sp.csr_matrix, documents: np.ndarray, count: int) -> np.ndarray:
    """Each candidate's share of the votes of the `count` nearest, by all products."""
    found = np.zeros(CANDIDATES.shape)
    similarity = (queries @ X.T).toarray() + 0.5 * documents @ Z.T
    for i, row in enumerate(similarity):
        nearest = np.argsort(-row, kind="stable")[:count]
        weights = np.exp((row[nearest] - row[nearest[0]]) / 0.15)
        for weight, document in zip(weights / weights.sum(), nearest, strict=True):
            for j, label in enumerate(CANDIDATES[i]):
                found[i, j] += weight * (label in Y[document].indices)
    return found


@pytest.fixture
def voters() -> Voters:
    return make_voters(X, lambda _: Z, Y, CONFIG, 40)


def test_votes_are_shares_of_the_weights_of_near_documents(voters: Voters) -> None:
    queries, documents = collection(20, L, 1)[0], unit_rows(20, 6, 1)
    found = voters(queries, documents, CANDIDATES)  # 80 proposed, so all documents are looked at
    assert (found.dtype, found.shape) == (np.float32, CANDIDATES.shape)
    assert np.allclose(found, by_loops(queries, documents, 40), atol=1e-4)
    assert (found[:, 2] == 0).all()
    assert found.max() > 0.5


def test_a_document_without_a_known_word_gets_no_votes(voters: Voters) -> None:
    found = voters(sp.csr_matrix((20, X.shape[1]), dtype=np.float32), unit_rows(20, 6, 1), CANDIDATES)
    assert (found == 0).all()


def test_fewer_documents_than_votes_all_vote() -> None:
    found = make_voters(X[:3], lambda _: Z[:3], Y[:3], CONFIG, 40)(X[:20], Z[:20], CANDIDATES)
    all_labels = make_voters(X[:3], lambda _: Z[:3], sp.csr_matrix(np.ones((3, L), np.float32)), CONFIG, 40)
    assert found[0, 0] == pytest.approx(float(3 in Y[0].indices), abs=0.1)
    assert np.allclose(all_labels(X[:20], Z[:20], CANDIDATES)[:, [0, 1, 3, 4]], 1)


def test_no_documents_get_no_rows(voters: Voters) -> None:
    assert voters(X[:0], Z[:0], CANDIDATES[:0]).shape == (0, 5)
