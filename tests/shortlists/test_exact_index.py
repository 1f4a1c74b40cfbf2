"""Shortlists by dense embeddings against an argsort of all products."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from support.planted_data import unit_rows

from xmlcli.machine import threads
from xmlcli.shortlists import exact_index
from xmlcli.shortlists.exact_index import ExactIndex
from xmlcli.shortlists.hnsw_index import HnswIndex

Floats = npt.NDArray[np.float32]


def exact(
    Z: Floats,
    documents: Floats,
    k: int,
    *,
    bonus: Floats | None = None,
    searchable: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.int32], Floats]:
    L = len(Z)
    bonus = np.zeros(L, np.float32) if bonus is None else bonus
    searchable = np.ones(L, bool) if searchable is None else searchable
    return ExactIndex(Z, bonus=bonus, searchable=searchable).search(documents, k)


def oracle(
    Z: Floats, documents: Floats, k: int, *, bonus: Floats, searchable: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], Floats]:
    """One document and one label at a time, sorted by (-score, label), padded with L and -inf."""
    L = len(Z)
    indices, scores = np.full((len(documents), k), L, np.int32), np.full((len(documents), k), -np.inf, np.float32)
    for i, x in enumerate(documents):
        found = sorted((-float(np.float32(x @ Z[j]) + bonus[j]), j) for j in range(L) if searchable[j])[:k]
        indices[i, : len(found)] = [j for _, j in found]
        scores[i, : len(found)] = [-s for s, _ in found]
    return indices, scores


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def _type(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the blocked products computed in either type, whatever the machine prefers."""
    monkeypatch.setattr(exact_index, "matrix_dtype", lambda device: request.param)


@pytest.mark.usefixtures("_type")
@pytest.mark.parametrize(("L", "k", "seed"), [(300, 10, 0), (300, 1, 1), (40, 40, 2), (7, 20, 3), (1, 1, 4)])
def test_exact_shortlist_holds_every_nearest_label(L: int, k: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_index, "_BLOCK", 8)
    rng = np.random.default_rng(seed)
    Z, documents = unit_rows(L, 16, seed), unit_rows(30, 16, seed + 100)
    documents[3] = 0
    bonus = rng.uniform(0, 0.3, L).astype(np.float32)
    searchable = (rng.random(L) < 0.8) | (np.arange(L) == 0)
    indices, scores = exact(Z, documents, k, bonus=bonus, searchable=searchable)
    wanted, best = oracle(Z, documents, k, bonus=bonus, searchable=searchable)
    assert (indices.dtype, scores.dtype) == (np.int32, np.float32)
    assert indices.tolist() == wanted.tolist()
    assert np.allclose(scores, best, atol=1e-6)


@pytest.mark.usefixtures("_type")
def test_labels_that_differ_by_less_than_bfloat16_can_tell_are_ranked_right() -> None:
    rng = np.random.default_rng(0)
    Z = np.repeat(unit_rows(4, 32, 0), 500, axis=0) + rng.normal(0, 2e-4, (2000, 32)).astype(np.float32)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    documents = unit_rows(20, 32, 1)
    _, scores = exact(Z, documents, 25)
    wanted = -np.sort(-(documents.astype(float) @ Z.T.astype(float)), axis=1)[:, :25]
    assert np.allclose(scores, wanted, atol=3e-7)


@pytest.mark.usefixtures("_type")
@pytest.mark.parametrize("k", [3, 8, 60])
def test_ties_go_to_the_lower_label(k: int) -> None:
    rng = np.random.default_rng(k)
    Z = rng.choice([-0.5, 0.5], (60, 4)).astype(np.float32)  # unit rows, all products exact, many equal
    documents = rng.choice([-0.5, 0.5], (25, 4)).astype(np.float32)
    documents[0] = 0
    bonus = rng.choice([0.0, 0.25], 60).astype(np.float32)
    searchable = rng.random(60) < 0.7
    indices, scores = exact(Z, documents, k, bonus=bonus, searchable=searchable)
    wanted, best = oracle(Z, documents, k, bonus=bonus, searchable=searchable)
    assert indices.tolist() == wanted.tolist()
    assert scores.tolist() == best.tolist()


def test_a_zero_document_gets_the_labels_of_the_largest_bonus() -> None:
    bonus = np.array([0.1, 0.3, 0.2, 0.3], np.float32)
    indices, scores = exact(unit_rows(4, 8, 0), np.zeros((1, 8), np.float32), 3, bonus=bonus)
    assert indices.tolist() == [[1, 3, 2]]
    assert np.allclose(scores, [[0.3, 0.3, 0.2]])


def test_the_number_of_threads_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    Z, documents = unit_rows(500, 24, 0), unit_rows(70, 24, 1)
    found = []
    for count in (1, 3):
        monkeypatch.setattr(threads, "num_threads", lambda count=count: count)
        found.append(tuple(a.tobytes() for a in exact(Z, documents, 30)))
    assert found[0] == found[-1]


@pytest.mark.parametrize("largest_bonus", [0.0, 0.4])
def test_the_graph_finds_nearly_what_exact_search_finds(largest_bonus: float) -> None:
    Z, documents = unit_rows(600, 16, 0), unit_rows(80, 16, 1)
    rng = np.random.default_rng(0)
    bonus = (largest_bonus * rng.random(600)).astype(np.float32)
    searchable = rng.random(600) < 0.8
    index = HnswIndex(Z, bonus=bonus, searchable=searchable, M=16, ef_construction=100, ef_search=100)
    indices, scores = index.search(documents, 20)
    wanted, best = exact(Z, documents, 20, bonus=bonus, searchable=searchable)
    shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(indices, wanted, strict=True)]) / 20
    assert shared > 0.97
    assert searchable[indices].all()
    products = np.take_along_axis(documents @ Z.T + bonus, indices, axis=1)
    assert np.allclose(scores, products, atol=2e-6)
    assert (np.diff(scores) <= 0).all()
    assert np.allclose(scores[:, 0], best[:, 0], atol=2e-2)


def test_the_graph_breaks_ties_and_pads_like_exact_search() -> None:
    Z = np.repeat(np.eye(3, 4, dtype=np.float32), 2, axis=0)  # labels 0 and 1, 2 and 3, 4 and 5 coincide
    documents = np.vstack([np.eye(3, 4, dtype=np.float32), np.zeros((1, 4), np.float32)])
    searchable = np.array([True, True, True, True, True, False])
    zero = np.zeros(6, np.float32)
    graph = HnswIndex(Z, bonus=zero, searchable=searchable, M=8, ef_construction=20, ef_search=20)
    indices, scores = graph.search(documents, 8)
    wanted, best = exact(Z, documents, 8, bonus=zero, searchable=searchable)
    assert indices.tolist() == wanted.tolist()
    assert np.allclose(scores, best, atol=1e-6)
