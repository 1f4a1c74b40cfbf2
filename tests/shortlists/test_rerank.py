"""What words propose and vectors decide against one search of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.fake_stages import make_config
from support.planted_data import sparse_rows, unit_rows

from xmlcli.distributed.ranks import ALONE
from xmlcli.shortlists import rerank as module
from xmlcli.shortlists.make_index import LabelVectors, make_index
from xmlcli.shortlists.rerank import Proposals, decide, propose

CONFIG = replace(make_config().shortlist, vectors=0.3)


@pytest.mark.parametrize(("L", "k"), [(300, 10), (30, 20), (15, 15), (1, 1)])
def test_two_parts_find_what_one_search_finds(L: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DECIDING", 7)
    rng = np.random.default_rng(L)
    words, X = sparse_rows(L, 40, 7, rng), sparse_rows(50, 40, 6, rng)
    Z, documents = unit_rows(L, 8, 1), unit_rows(50, 8, 2)
    frequencies = (rng.integers(0, 4, L) + (np.arange(L) == 0)).astype(np.float32)  # some labels cannot be found
    labels = LabelVectors(Z, (0.1 * np.log1p(frequencies)).astype(np.float32), words)
    seen: list[int] = []
    by_words = make_index(labels, frequencies, replace(CONFIG, vectors=0.0), in_order=False)
    proposed = propose(by_words, X, k, L, progress=lambda what, done, of: seen.append(done))
    assert proposed.labels.shape == proposed.scores.shape == (50, min(2 * k, L))
    assert seen == sorted(seen)
    assert seen[-1] == 50
    wanted, best = make_index(labels, frequencies, CONFIG).search(documents, k, X=X)
    found, scores = decide(proposed, documents, Z, CONFIG.vectors, k, L, ALONE)
    assert (found.dtype, scores.dtype) == (np.int32, np.float32)
    there = wanted < L
    assert (there == (found < L)).all()
    assert np.allclose(scores[there], best[there], atol=2e-3)  # proposed in half precision
    assert (scores[~there] == -np.inf).all()
    differ = (found != wanted) & there
    assert differ.mean() < 0.1


def test_vectors_decide_and_ties_go_to_the_lower_label() -> None:
    labels = np.array([[4, 2, 1, 5], [0, 5, 5, 5]], np.int32)
    scores = np.array([[0.5, 0.5, 0.25, -np.inf], [0.5, -np.inf, -np.inf, -np.inf]], np.float16)
    Z, documents = np.zeros((5, 2), np.float32), np.array([[1, 0], [0, 1]], np.float32)
    Z[1, 0] = 1
    found, totals = decide(Proposals(labels, scores), documents, Z, 0.5, 3, 5, ALONE)
    assert found.tolist() == [[1, 2, 4], [0, 5, 5]]
    assert totals.tolist() == [[0.75, 0.5, 0.5], [0.5, -np.inf, -np.inf]]
