"""Retrieval by words and reranking by vectors, each by itself, against a search that does both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.fake_stages import make_config
from support.planted_data import sparse_rows, unit_rows

from xmlcli.shortlists import rerank as module
from xmlcli.shortlists.make_index import SearchVectors, make_index, make_word_index, searchable_labels
from xmlcli.shortlists.rerank import Reranker, Retrieved

CONFIG = replace(make_config().shortlist, vectors=0.3)


@pytest.mark.parametrize(("L", "k"), [(300, 10), (30, 20), (15, 15), (1, 1)])
def test_labels_kept_in_half_precision_are_reranked_to_nearly_the_same(
    L: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7)
    rng = np.random.default_rng(L)
    words, X = sparse_rows(L, 40, 7, rng), sparse_rows(50, 40, 6, rng)
    Z, documents = unit_rows(L, 8, 1), unit_rows(50, 8, 2)
    frequencies = (rng.integers(0, 4, L) + (np.arange(L) == 0)).astype(np.float32)  # some labels cannot be found
    vectors = SearchVectors(Z, (0.1 * np.log1p(frequencies)).astype(np.float32), words)
    searchable = searchable_labels(frequencies, CONFIG)
    index = make_word_index(vectors, searchable, CONFIG)
    retrieved = index.retrieve(X, k)
    assert retrieved.labels.shape == retrieved.scores.shape == (50, min(2 * k, L))
    wanted, best = make_index(vectors, searchable, CONFIG).search(documents, k, X=X)
    kept = retrieved._replace(scores=retrieved.scores.astype(np.float16))
    labels, scores = index.reranker.rerank(kept, documents, k)
    assert (labels.dtype, scores.dtype) == (np.int32, np.float32)
    there = wanted < L
    assert (there == (labels < L)).all()
    assert np.allclose(scores[there], best[there], atol=2e-3)
    assert (scores[~there] == -np.inf).all()
    assert ((labels != wanted) & there).mean() < 0.1


def test_vectors_rerank_and_ties_go_to_the_lower_label() -> None:
    labels = np.array([[1, 2, 4, 5], [0, 5, 5, 5]], np.int32)
    scores = np.array([[0.25, 0.5, 0.5, -np.inf], [0.5, -np.inf, -np.inf, -np.inf]], np.float16)
    Z, documents = np.zeros((5, 2), np.float32), np.array([[1, 0], [0, 1]], np.float32)
    Z[1, 0] = 1
    reranker = Reranker(Z, 0.5, 5)
    best, totals = reranker.rerank(Retrieved(labels, scores), documents, 2)
    assert best.tolist() == [[1, 2], [0, 5]]
    assert totals.tolist() == [[0.75, 0.5], [0.5, -np.inf]]
    best, totals = reranker.rerank(Retrieved(labels[:, :3], scores[:, :3]), documents, 4)
    assert best.tolist() == [[1, 2, 4, 5], [0, 5, 5, 5]]
    assert totals.tolist() == [[0.75, 0.5, 0.5, -np.inf], [0.5, *[-np.inf] * 3]]


def test_in_order_the_best_label_comes_first_however_it_was_retrieved() -> None:
    labels, scores = np.array([[4, 2, 1]], np.int32), np.array([[0.5, 0.5, 0.25]], np.float32)
    Z = np.zeros((5, 1), np.float32)
    Z[1] = 1
    best, totals = Reranker(Z, 0.5, 5).rerank(Retrieved(labels, scores), np.ones((1, 1), np.float32), 3)
    assert best.tolist() == [[1, 2, 4]]
    assert totals.tolist() == [[0.75, 0.5, 0.5]]


def test_progress_ends_at_the_last_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 8)
    rng, seen = np.random.default_rng(0), []
    vectors = SearchVectors(unit_rows(20, 8, 0), np.zeros(20, np.float32), sparse_rows(20, 40, 7, rng))
    index = make_word_index(vectors, np.ones(20, np.bool_), CONFIG)
    X, documents = sparse_rows(30, 40, 6, rng), unit_rows(30, 8, 1)
    index.search(documents, 5, X=X, progress=lambda *report: seen.append(report))
    assert seen == [("shortlist", done, 30) for done in (8, 16, 24, 30)]
