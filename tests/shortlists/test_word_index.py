"""Retrieval by words, and reranking after it, against loops over documents and labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from support.fake_stages import make_config
from support.planted_data import sparse_rows, unit_rows
from support.threads_as_ranks import on_ranks

from xmlcli.distributed.ranks import Ranks
from xmlcli.kernels.products import QuantisedDense
from xmlcli.machine import threads
from xmlcli.shortlists import word_index
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.make_index import SearchVectors, make_index
from xmlcli.shortlists.word_index import WordIndex

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
CONFIG = replace(make_config().shortlist, backend="words")


def problem(L: int, N: int, seed: int) -> dict[str, Any]:
    """Labels, a bonus, a mask, and documents of which one has no words and one no vector."""
    rng = np.random.default_rng(seed)
    X = sparse_rows(N, 40, 6, rng).tolil()
    X[2] = 0
    documents = unit_rows(N, 8, seed + 1)
    documents[3] = 0
    return dict(
        words=sparse_rows(L, 40, 7, rng), Z=unit_rows(L, 8, seed), X=X.tocsr().astype(np.float32), documents=documents,
        bonus=rng.uniform(0, 0.2, L).astype(np.float32), searchable=(rng.random(L) < 0.8) | (np.arange(L) == 0),
    )  # fmt: skip


def an_index(share: float, given: dict[str, Any], *, in_order: bool = True) -> Index:
    """An index of words, and where the vectors have a share in the score one that reranks."""
    vectors = SearchVectors(given["Z"], given["bonus"], given["words"])
    return make_index(vectors, given["searchable"], replace(CONFIG, vectors=share), in_order=in_order)


def search(k: int, *, share: float, **given: Any) -> tuple[Ints, Floats]:
    return an_index(share, given).search(given["documents"], k, X=given["X"])


def oracle(k: int, *, share: float, **given: Any) -> tuple[Ints, Floats]:
    """One document and one label at a time: 2k labels by words and bonus, the k best of these by all three terms."""
    words, X, (N, L) = given["words"].toarray(), given["X"].toarray(), (len(given["documents"]), len(given["Z"]))
    indices, scores = np.full((N, k), L, np.int32), np.full((N, k), -np.inf, np.float32)
    there = [label for label in range(L) if given["searchable"][label]]
    for i in range(N):
        total = {label: float(X[i] @ words[label] + given["bonus"][label]) for label in there}
        retrieved = sorted(there, key=lambda label: (-total[label], label))[: 2 * min(k, len(there))]
        cosines = given["Z"] @ given["documents"][i]
        reranked = {label: total[label] + share * float(cosines[label]) for label in retrieved}
        found = sorted(retrieved, key=lambda label: (-reranked[label], label))[:k]
        indices[i, : len(found)] = found
        scores[i, : len(found)] = [reranked[label] for label in found]
    return indices, scores


@pytest.mark.parametrize("share", [0.0, 0.1, 2.0])
@pytest.mark.parametrize(
    ("L", "k", "seed"), [(3000, 10, 0), (300, 1, 1), (40, 40, 2), (30, 20, 3), (7, 20, 4), (1, 1, 5)]
)
def test_shortlists_are_those_of_loops_over_documents_and_labels(
    L: int, k: int, seed: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_index, "_BLOCK", 8)
    given = problem(L, 30, seed)
    indices, scores = search(k, share=share, **given)
    wanted, best = oracle(k, share=share, **given)
    assert (indices.dtype, scores.dtype) == (np.int32, np.float32)
    assert indices.tolist() == wanted.tolist()
    assert np.allclose(scores, best, atol=1e-6)


def test_a_search_by_compact_vectors_is_one_by_their_numbers() -> None:
    given = problem(300, 30, 6)
    Z = QuantisedDense.of(given["Z"])
    quantised, floats = (search(20, share=2.0, **(given | {"Z": table})) for table in (Z, Z.floats()))
    assert (quantised[0] == floats[0]).mean() > 0.99  # but for ties within rounding
    assert np.allclose(quantised[1], floats[1], atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize(("L", "k"), [(3000, 10), (300, 100), (40, 40), (7, 20)])
def test_without_order_the_same_labels_are_found(L: int, k: int, share: float) -> None:
    given = problem(L, 30, L)
    given["bonus"] = np.round(given["bonus"], 1)  # many equal scores where no word is shared
    indices, scores = an_index(share, given, in_order=False).search(given["documents"], k, X=given["X"])
    order = np.lexsort((indices, -scores), axis=1)
    found = (np.take_along_axis(table, order, axis=1) for table in (indices, scores))
    for table, wanted in zip(found, search(k, share=share, **given), strict=True):
        assert np.allclose(table, wanted, rtol=0, atol=2e-7)  # the same labels; sums to the last bit but one


def test_without_a_share_of_the_vectors_every_nearest_label_is_found() -> None:
    given = problem(2000, 30, 6)
    _, scores = search(25, share=0.0, **given)
    everything = (given["X"] @ given["words"].T).toarray() + given["bonus"]
    everything[:, ~given["searchable"]] = -np.inf
    assert np.allclose(scores, -np.sort(-everything, axis=1)[:, :25], atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("k", [3, 8, 60, 90])
def test_ties_go_to_the_lower_label(k: int, share: float) -> None:
    rng = np.random.default_rng(k)
    halves = [rng.choice([0.0, 0.5], (rows, 6)).astype(np.float32) for rows in (60, 25)]
    halves[1][0] = 0
    given = dict(
        words=sp.csr_matrix(halves[0]),
        X=sp.csr_matrix(halves[1]),
        Z=rng.choice([-0.5, 0.5], (60, 4)).astype(np.float32),
        documents=rng.choice([-0.5, 0.0, 0.5], (25, 4)).astype(np.float32),
        bonus=rng.choice([0.0, 0.25], 60).astype(np.float32),
        searchable=rng.random(60) < 0.7,
    )  # fmt: skip  all sums are exact, many equal
    indices, scores = search(k, share=share, **given)
    wanted, best = oracle(k, share=share, **given)
    assert indices.tolist() == wanted.tolist()
    assert scores.tolist() == best.tolist()


def test_labels_that_all_score_alike_come_in_their_order() -> None:
    given = problem(100, 4, 0) | {"bonus": np.zeros(100, np.float32), "searchable": np.ones(100, bool)}
    given["X"] = sp.csr_matrix((4, 40), dtype=np.float32)
    indices, scores = search(5, share=0.0, **given)
    assert indices.tolist() == [[0, 1, 2, 3, 4]] * 4
    assert not scores.any()


def test_scores_too_close_for_bins_are_ranked_right() -> None:
    given = problem(100, 4, 0) | {"searchable": np.ones(100, bool), "X": sp.csr_matrix((4, 40), dtype=np.float32)}
    given["bonus"] = (np.arange(100) * 1e-41).astype(np.float32)  # the bins' width has no float32 reciprocal
    indices, _ = search(5, share=0.0, **given)
    assert indices.tolist() == [[99, 98, 97, 96, 95]] * 4


def test_the_most_frequent_words_of_a_long_document_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heaviest first; a word of more labels than are left of the budget is passed over, lighter ones still count."""
    monkeypatch.setattr(word_index, "POSTINGS", 10)
    words = sp.csr_matrix(np.random.default_rng(0).random((9, 5)).astype(np.float32))
    words[4:, 0] = words[1:, 2] = words[2:, 3] = words[8:, 4] = 0
    words = words.tocsr()
    words.eliminate_zeros()
    assert words.getnnz(axis=0).tolist() == [4, 9, 1, 2, 8]
    weights = np.array([[5, 1, 3, 2, 4], [5, 0, 3, 2, 0]], np.float32)  # 4, then 8 do not fit, 1, 2, 9 do not fit
    given = problem(9, 4, 1) | {
        "words": words,
        "documents": np.zeros((2, 8), np.float32),
        "searchable": np.ones(9, bool),
    }
    indices, scores = search(9, share=0.1, **given | {"X": sp.csr_matrix(weights)})
    assert indices[0].tolist() == indices[1].tolist()
    assert scores[0].tolist() == scores[1].tolist()
    wanted = oracle(9, share=0.1, **given | {"X": sp.csr_matrix(weights[[1, 1]])})
    assert indices.tolist() == wanted[0].tolist()


@pytest.mark.parametrize(("light", "left_out"), [(0.0, 0), (0.01, 1), (0.03, 1), (0.05, 2), (1.0, 3)])
def test_a_documents_lightest_words_do_not_count(light: float, left_out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of squares of .64, .32, .03 and .01 those that together hold no more are left out; the heaviest never."""
    monkeypatch.setattr(word_index, "LIGHT", light * 1.001)
    X = np.sqrt(np.array([[0.03, 0.64, 0.01, 0.32], [0, 0, 0.5, 0]], np.float32))
    words = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    given = dict(
        words=sp.csr_matrix(words), X=sp.csr_matrix(X), Z=np.zeros((5, 1), np.float32),
        documents=np.zeros((2, 1), np.float32), bonus=np.zeros(5, np.float32), searchable=np.ones(5, bool),
    )  # fmt: skip
    kept = X.copy()
    kept[0, [2, 0, 3][:left_out]] = 0
    _, scores = search(5, share=0.0, **given)
    assert np.allclose(scores, -np.sort(-kept @ words.T, axis=1), atol=1e-6)


def test_the_heaviest_word_counts_however_many_labels_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(40, 4, 1)
    alone = sp.csr_matrix((given["X"].data, given["X"].indices, given["X"].indptr), shape=given["X"].shape)
    for row in range(alone.shape[0]):
        own = slice(alone.indptr[row], alone.indptr[row + 1])
        alone.data[own] *= alone.data[own] == alone.data[own].max(initial=0)
    monkeypatch.setattr(word_index, "POSTINGS", 1)
    found, wanted = search(9, share=0.1, **given), oracle(9, share=0.1, **given | {"X": alone})
    assert found[0].tolist() == wanted[0].tolist()


@pytest.mark.parametrize("num_labels", [799, 1600, 3201, 6401, 12_900])
def test_groups_of_labels_lose_none(num_labels: int) -> None:
    given = problem(num_labels, 12, 3)
    found, wanted = search(25, share=0.1, **given), oracle(25, share=0.1, **given)
    assert found[0].tolist() == wanted[0].tolist()


def test_what_a_document_touched_is_as_before_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4,000 labels in groups a document touches few: nothing of one stays in the scores of those after it."""
    monkeypatch.setattr(word_index, "LIGHT", 0.0)
    rng = np.random.default_rng(0)
    words, X = sparse_rows(4000, 3000, 7, rng), sparse_rows(160, 3000, 6, rng)
    bonus, everything = rng.uniform(0, 0.05, 4000).astype(np.float32), np.ones(4000, np.bool_)
    index = WordIndex(words, bonus=bonus, searchable=everything)
    indices, scores = index.search(np.empty((160, 0), np.float32), 10, X=X)
    products = (X @ words.T).toarray() + bonus
    assert np.allclose(scores, -np.sort(-products, axis=1)[:, :10], atol=1e-6)
    assert np.allclose(np.take_along_axis(products, indices.astype(np.int64), axis=1), scores, atol=1e-6)


@pytest.mark.parametrize("num_labels", [65_536, 65_537])
def test_no_number_of_many_labels_is_cut_short(num_labels: int) -> None:
    everything, ones = np.arange(num_labels), np.ones(num_labels, np.float32)
    words = sp.csr_matrix((ones, (everything, everything % 7)))
    index = WordIndex(words, bonus=0 * ones, searchable=ones > 0)
    assert np.sort(index._file.labels).tolist() == everything.tolist()


def test_the_labels_of_all_ranks_decide_which_words_are_too_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_index, "POSTINGS", 40)
    given, no_vectors = problem(60, 20, 4), np.empty((20, 0), np.float32)
    words, bonus, searchable = given["words"], given["bonus"], np.ones(60, np.bool_)
    whole = WordIndex(words, bonus=bonus, searchable=searchable, in_order=False)
    _, wanted = whole.search(no_vectors, 60, X=given["X"])

    def scores(ranks: Ranks) -> Floats:
        own = ranks.share(60)
        index = WordIndex(words[own], bonus=bonus[own], searchable=searchable[own], in_order=False, ranks=ranks)
        return index.search(no_vectors, 30, X=given["X"])[1]

    assert np.allclose(np.hstack(on_ranks(2, scores)), wanted, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_number_of_threads_changes_no_byte(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(500, 70, 0)
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "num_threads", lambda count=count: count)
        found.append(tuple(a.tobytes() for a in search(30, share=share, **given)))
    assert len(set(found)) == 1


def test_progress_ends_at_the_last_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_index, "_BLOCK", 8)
    given, seen = problem(20, 30, 0), []
    index = WordIndex(given["words"], bonus=given["bonus"], searchable=given["searchable"])
    index.search(given["documents"], 5, X=given["X"], progress=lambda _, done, total: seen.append((done, total)))
    assert seen == [(8, 30), (16, 30), (24, 30), (30, 30)]
