"""Shortlists against an argsort of all products."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
import torch
from fakes import make_config

from xmlcli import neighbours
from xmlcli.neighbours import ExactIndex, HnswIndex, LabelVectors, make_index, recall, shortlist_size

Floats = npt.NDArray[np.float32]
CONFIG = make_config().shortlist


def unit_rows(rows: int, dim: int, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def exact(
    Z: Floats,
    documents: Floats,
    k: int,
    *,
    prior: Floats | None = None,
    searchable: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.int32], Floats]:
    L = len(Z)
    prior = np.zeros(L, np.float32) if prior is None else prior
    searchable = np.ones(L, bool) if searchable is None else searchable
    return ExactIndex(Z, prior=prior, searchable=searchable).search(documents, k)


def oracle(
    Z: Floats, documents: Floats, k: int, *, prior: Floats, searchable: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], Floats]:
    """One document and one label at a time, sorted by (-score, label), padded with L and -inf."""
    L = len(Z)
    indices, scores = np.full((len(documents), k), L, np.int32), np.full((len(documents), k), -np.inf, np.float32)
    for i, x in enumerate(documents):
        found = sorted((-float(np.float32(x @ Z[j]) + prior[j]), j) for j in range(L) if searchable[j])[:k]
        indices[i, : len(found)] = [j for _, j in found]
        scores[i, : len(found)] = [-s for s, _ in found]
    return indices, scores


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def _type(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the blocked products computed in either type, whatever the machine prefers."""
    monkeypatch.setattr(neighbours, "matrix_dtype", lambda device: request.param)


@pytest.mark.usefixtures("_type")
@pytest.mark.parametrize(("L", "k", "seed"), [(300, 10, 0), (300, 1, 1), (40, 40, 2), (7, 20, 3), (1, 1, 4)])
def test_exact_shortlist_holds_every_nearest_label(L: int, k: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", 8)
    rng = np.random.default_rng(seed)
    Z, documents = unit_rows(L, 16, seed), unit_rows(30, 16, seed + 100)
    documents[3] = 0
    prior = rng.uniform(0, 0.3, L).astype(np.float32)
    searchable = (rng.random(L) < 0.8) | (np.arange(L) == 0)
    indices, scores = exact(Z, documents, k, prior=prior, searchable=searchable)
    wanted, best = oracle(Z, documents, k, prior=prior, searchable=searchable)
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
    prior = rng.choice([0.0, 0.25], 60).astype(np.float32)
    searchable = rng.random(60) < 0.7
    indices, scores = exact(Z, documents, k, prior=prior, searchable=searchable)
    wanted, best = oracle(Z, documents, k, prior=prior, searchable=searchable)
    assert indices.tolist() == wanted.tolist()
    assert scores.tolist() == best.tolist()


def test_a_zero_document_gets_the_labels_of_the_largest_prior() -> None:
    prior = np.array([0.1, 0.3, 0.2, 0.3], np.float32)
    indices, scores = exact(unit_rows(4, 8, 0), np.zeros((1, 8), np.float32), 3, prior=prior)
    assert indices.tolist() == [[1, 3, 2]]
    assert np.allclose(scores, [[0.3, 0.3, 0.2]])


@pytest.mark.parametrize("backend", ["exact", "nmslib"])
def test_nothing_searchable_or_nothing_asked_gives_padding(backend: str) -> None:
    config = replace(CONFIG, backend=backend, mask_unseen=True)
    Z, counts = unit_rows(5, 8, 0), np.zeros(5, np.float32)
    indices, scores = make_index(LabelVectors(Z, np.zeros(5, bool)), counts, config).search(unit_rows(2, 8, 1), 3)
    assert (indices == 5).all()
    assert np.isneginf(scores).all()
    indices, scores = make_index(LabelVectors(Z, np.ones(5, bool)), counts, config).search(unit_rows(0, 8, 1), 3)
    assert indices.shape == scores.shape == (0, 3)


def test_the_number_of_threads_changes_no_byte() -> None:
    Z, documents = unit_rows(500, 24, 0), unit_rows(70, 24, 1)
    before = numba.get_num_threads()
    found = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        found.append(tuple(a.tobytes() for a in exact(Z, documents, 30)))
    numba.set_num_threads(before)
    assert found[0] == found[-1]


@pytest.mark.parametrize("largest_prior", [0.0, 0.4])
def test_the_graph_finds_nearly_what_exact_search_finds(largest_prior: float) -> None:
    Z, documents = unit_rows(600, 16, 0), unit_rows(80, 16, 1)
    rng = np.random.default_rng(0)
    prior = (largest_prior * rng.random(600)).astype(np.float32)
    searchable = rng.random(600) < 0.8
    index = HnswIndex(Z, prior=prior, searchable=searchable, M=16, ef_construction=100, ef_search=100)
    indices, scores = index.search(documents, 20)
    wanted, best = exact(Z, documents, 20, prior=prior, searchable=searchable)
    shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(indices, wanted, strict=True)]) / 20
    assert shared > 0.97
    assert searchable[indices].all()
    products = np.take_along_axis(documents @ Z.T + prior, indices, axis=1)
    assert np.allclose(scores, products, atol=2e-6)
    assert (np.diff(scores) <= 0).all()
    assert np.allclose(scores[:, 0], best[:, 0], atol=2e-2)


def test_the_graph_breaks_ties_and_pads_like_exact_search() -> None:
    Z = np.repeat(np.eye(3, 4, dtype=np.float32), 2, axis=0)  # labels 0 and 1, 2 and 3, 4 and 5 coincide
    documents = np.vstack([np.eye(3, 4, dtype=np.float32), np.zeros((1, 4), np.float32)])
    searchable = np.array([True, True, True, True, True, False])
    zero = np.zeros(6, np.float32)
    graph = HnswIndex(Z, prior=zero, searchable=searchable, M=8, ef_construction=20, ef_search=20)
    indices, scores = graph.search(documents, 8)
    wanted, best = exact(Z, documents, 8, prior=zero, searchable=searchable)
    assert indices.tolist() == wanted.tolist()
    assert np.allclose(scores, best, atol=1e-6)


@pytest.mark.parametrize("backend", ["exact", "nmslib"])
def test_labels_without_documents_are_shortlisted_only_when_not_masked(backend: str) -> None:
    Z = unit_rows(30, 8, 0)
    known = np.arange(30) % 3 > 0
    for masked in (True, False):
        config = replace(CONFIG, backend=backend, mask_unseen=masked, prior=0.0)
        indices, _ = make_index(LabelVectors(Z, known), known.astype(np.float32), config).search(Z, 30)
        seen = np.unique(indices)
        assert np.isin(np.flatnonzero(~known), seen).any() != masked
        assert (seen == 30).any() == masked  # the rest is padding


@pytest.mark.parametrize("backend", ["exact", "nmslib"])
def test_the_prior_adds_its_share_of_the_log_of_one_plus_the_frequency(backend: str) -> None:
    Z, documents = unit_rows(50, 8, 0), unit_rows(10, 8, 1)
    counts = np.random.default_rng(0).integers(0, 1000, 50).astype(np.float32)
    config = replace(CONFIG, backend=backend, prior=0.07, mask_unseen=False)
    indices, scores = make_index(LabelVectors(Z, np.ones(50, bool)), counts, config).search(documents, 5)
    everything = documents @ Z.T + 0.07 * np.log(1 + counts)
    assert np.allclose(scores, -np.sort(-everything, axis=1)[:, :5], atol=2e-6)
    assert np.allclose(scores, np.take_along_axis(everything, indices, axis=1), atol=2e-6)


def test_a_small_collection_is_shortlisted_whole() -> None:
    config = replace(CONFIG, size=10, complete_pairs=1000)
    assert shortlist_size(100, 10, config) == 10
    assert shortlist_size(20, 50, config) == 50
    assert shortlist_size(21, 50, config) == 10
    assert shortlist_size(1000, 4, config) == 4


def test_recall_counts_pairs_and_not_padding() -> None:
    Y = sp.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]], np.float32))
    indices = np.array([[1, 2, 0], [0, 1, 2], [0, 1, 4], [4, 4, 4]], np.int32)
    assert recall(indices, Y) == 2 / 4
    assert recall(np.full((1, 2), 3, np.int32), sp.csr_matrix((1, 3), dtype=np.float32)) == 0.0


def test_words_add_their_cosine_to_the_score() -> None:
    rng = np.random.default_rng(5)
    Z, documents = unit_rows(30, 8, 1), unit_rows(12, 8, 2)
    words = sp.random(30, 25, 0.3, format="csr", dtype=np.float32, random_state=rng)
    X = sp.random(12, 25, 0.3, format="csr", dtype=np.float32, random_state=rng)
    index = ExactIndex(Z, prior=np.zeros(30, np.float32), searchable=np.ones(30, bool), words=words)
    indices, scores = index.search(documents, 30, X=X)
    wanted = documents @ Z.T + (X @ words.T).toarray()
    assert np.array_equal(indices, np.argsort(-wanted, axis=1, kind="stable"))
    assert np.allclose(scores, np.take_along_axis(wanted, indices, axis=1), atol=1e-5)


def test_only_the_heaviest_words_of_a_long_document_count() -> None:
    Z, documents = np.zeros((4, 8), np.float32), unit_rows(1, 8, 2)
    weights = np.linspace(0.01, 1, 80, dtype=np.float32)
    words = sp.csr_matrix(np.ones((4, 80), np.float32))
    index = ExactIndex(Z, prior=np.zeros(4, np.float32), searchable=np.ones(4, bool), words=words)
    _, scores = index.search(documents, 1, X=sp.csr_matrix(weights[None, :]))
    assert scores[0, 0] == pytest.approx(weights[-50:].sum(), rel=1e-5)
