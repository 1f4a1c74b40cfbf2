"""Linear classifiers against scikit-learn and against a general minimiser of the same objective."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.svm import LinearSVC
from support.fake_stages import make_config
from support.planted_data import collection, sparse_rows

from xmlcli.classifiers import one_vs_rest
from xmlcli.classifiers.one_vs_rest import LinearTraining, label_problems, stack
from xmlcli.config.sections import LinearConfig
from xmlcli.label_embeddings.word_centroids import word_centroids
from xmlcli.machine import threads
from xmlcli.machine.threads import in_background

EXACT = replace(make_config().linear, enabled=True, C=0.7, start=0.0, max_passes=2000, tolerance=1e-4, prune=0.0)


def everything(Y: sp.csr_matrix) -> npt.NDArray[np.int32]:
    """Shortlists of all labels."""
    return np.tile(np.arange(Y.shape[1], dtype=np.int32), (Y.shape[0], 1))


def some(Y: sp.csr_matrix, k: int, seed: int) -> npt.NDArray[np.int32]:
    """Random shortlists, a few of them cut short by padding; true labels are not always among them."""
    rng = np.random.default_rng(seed)
    found = np.argsort(rng.random(Y.shape), axis=1)[:, :k].astype(np.int32)
    found[::5, k // 2 :] = Y.shape[1]
    return found


def objective(
    w: npt.NDArray[np.float64], w0: npt.NDArray[np.float64], X: npt.NDArray[np.float64], signs: npt.NDArray[np.float64],
    C: float,
) -> tuple[float, npt.NDArray[np.float64]]:  # fmt: skip
    """|w - w0|^2 / 2 + C sum max(0, 1 - y w·x)^2 and its gradient; the bias is the last entry, of a feature 1."""
    short = np.maximum(0, 1 - signs * (X @ w))
    return 0.5 * ((w - w0) ** 2).sum() + C * (short**2).sum(), w - w0 - 2 * C * X.T @ (signs * short)


def trained(
    X: sp.csr_matrix, Y: sp.csr_matrix, shortlist: npt.NDArray[np.int32] | sp.csr_matrix, words: sp.csr_matrix,
    config: LinearConfig,
) -> sp.csr_matrix:  # fmt: skip
    """The classifiers of a collection."""
    return stack(LinearTraining(X, label_problems(Y, shortlist), words, config).finish(), X.shape[1])


@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_complete_shortlists_give_scikit_learns_classifiers(C: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_vs_rest, "_ABSENT", 0.0)  # LinearSVC draws the bias to 0
    X, Y = collection(120, 6, 0)
    found = trained(X, Y, everything(Y), word_centroids(X, Y, None), replace(EXACT, C=C)).toarray()
    for label in range(6):
        svc = LinearSVC(C=C, loss="squared_hinge", dual=True, tol=1e-8, max_iter=100_000, random_state=0)
        svc.fit(X, Y[:, [label]].toarray()[:, 0])
        assert np.allclose(found[label, :-1], svc.coef_[0], atol=2e-3)
        assert found[label, -1] == pytest.approx(svc.intercept_[0], abs=2e-3)


def test_one_step_solves_the_problem_of_one_document() -> None:
    """With w0 = 0 and b0 = -1 the document falls short by 2; alpha = 2 / (|x|^2 + 1 + 1 / 2C) moves w and bias."""
    X, Y = sp.csr_matrix(np.array([[0.6, 0.8]], np.float32)), sp.csr_matrix(np.ones((1, 1), np.float32))
    found = trained(X, Y, everything(Y), X, replace(EXACT, C=2.0, max_passes=1)).toarray()
    alpha = 2 / (1 + 1 + 1 / 4)
    assert np.allclose(found, [[0.6 * alpha, 0.8 * alpha, alpha - 1]], atol=1e-6)


@pytest.mark.parametrize("start", [0.0, 1.5])
@pytest.mark.parametrize("has_text", [False, True])
def test_each_classifier_minimises_its_shortlists_objective(start: float, has_text: bool) -> None:
    X, Y = collection(100, 8, 1)
    shortlist = some(Y, 4, 2)
    text = sparse_rows(8, X.shape[1], 3, np.random.default_rng(3)) if has_text else None
    found = trained(X, Y, shortlist, word_centroids(X, Y, text), replace(EXACT, start=start)).toarray().astype(float)
    dense_X, dense_Y = np.column_stack([X.toarray(), np.ones(100)]).astype(np.float64), Y.toarray()
    for label in range(8):
        rows = [i for i in range(100) if dense_Y[i, label] or label in shortlist[i]]
        signs = np.where(dense_Y[rows, label], 1.0, -1.0)
        total = dense_X[[i for i in rows if dense_Y[i, label]]].sum(axis=0)
        total[:-1] += 0 if text is None else text[label].toarray()[0]
        total[-1] = 0
        unit = total / np.linalg.norm(total)
        w0 = start * np.where(unit < 0.05, 0, unit)
        w0[-1] = -1
        args = (w0, dense_X[rows], signs, EXACT.C)
        best = minimize(objective, w0, args, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
        assert objective(found[label], *args)[0] <= best.fun * (1 + 1e-5)
        assert np.allclose(found[label], best.x, atol=3e-3)


def test_a_few_passes_come_close_to_the_minimum() -> None:
    X, Y = collection(300, 8, 5)
    config = replace(EXACT, max_passes=20, tolerance=0.05)
    found = trained(X, Y, everything(Y), word_centroids(X, Y, None), config).toarray().astype(float)
    dense_X = np.column_stack([X.toarray(), np.ones(300)]).astype(np.float64)
    for label in range(8):
        args = (np.append(np.zeros(found.shape[1] - 1), -1), dense_X, Y.toarray()[:, label] * 2.0 - 1, config.C)
        best = minimize(objective, args[0], args, jac=True, method="L-BFGS-B")
        assert objective(found[label], *args)[0] <= best.fun * 1.01


def test_problems_hold_positives_once_and_shortlisted_documents_of_labels_with_documents() -> None:
    Y = sp.csr_matrix(np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0]], np.float32))
    shortlist = np.array([[0, 1, 2], [1, 3, 3], [2, 0, 3]], np.int32)
    found = label_problems(Y, shortlist)
    by_label = [
        dict(zip(found.documents[a:b].tolist(), found.signs[a:b].tolist(), strict=True))
        for a, b in zip(found.offsets, found.offsets[1:], strict=False)
    ]
    assert by_label == [{0: 1, 1: 1, 2: -1}, {}, {0: -1, 1: 1, 2: -1}]
    assert len(found.documents) == 6


def test_a_label_without_documents_has_its_text_or_nothing() -> None:
    X, Y = collection(40, 5, 0)
    Y = sp.hstack([Y, sp.csr_matrix((40, 2))], format="csr", dtype=np.float32)
    text = sp.csr_matrix((7, X.shape[1]), dtype=np.float32).tolil()
    text[6, 3] = 1
    config = replace(EXACT, start=2.0)
    assert not trained(X, Y, everything(Y), word_centroids(X, Y, None), config)[5:].toarray().any()
    found = trained(X, Y, everything(Y), word_centroids(X, Y, text.tocsr()), config).toarray()
    assert not found[5].any()
    assert found[6].nonzero()[0].tolist() == [3]
    assert found[6, 3] == pytest.approx(2.0)


def test_pruning_drops_small_weights_and_no_bias() -> None:
    X, Y = collection(100, 6, 0)
    whole = trained(X, Y, everything(Y), word_centroids(X, Y, None), EXACT)
    pruned = trained(X, Y, everything(Y), word_centroids(X, Y, None), replace(EXACT, prune=0.1))
    assert pruned.nnz < whole.nnz
    wanted = whole.toarray()
    for row in wanted:
        order = np.argsort(np.abs(row[:-1]))
        small = np.cumsum(row[order] ** 2) <= 0.1 * (row[:-1] ** 2).sum()
        row[order[small]] = 0
    assert np.array_equal(pruned.toarray(), wanted)


def test_neither_threads_nor_blocks_change_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = collection(150, 12, 4)
    config = replace(EXACT, start=1.0, max_passes=7, prune=0.01)

    def train(count: int) -> tuple[bytes, ...]:
        monkeypatch.setattr(threads, "num_threads", lambda: count)
        training = LinearTraining(X, label_problems(Y, some(Y, 6, 0)), word_centroids(X, Y, None), config)
        with in_background(training.queue):
            time.sleep(0.02)  # which is time for some of the blocks, for none, or for all
        found = stack(training.finish(), X.shape[1])
        for row in range(12):
            assert (np.diff(found.indices[found.indptr[row] : found.indptr[row + 1]]) > 0).all()
        return found.data.tobytes(), found.indices.tobytes(), found.indptr.tobytes()

    whole = train(3)
    assert train(1) == whole
    monkeypatch.setattr(one_vs_rest, "_BLOCK_ENTRIES", 200)
    assert train(3) == whole
    assert train(1) == whole


def test_a_label_keeps_so_many_weights_at_most() -> None:
    X, Y = collection(100, 6, 0)
    words = word_centroids(X, Y, None)
    whole = trained(X, Y, everything(Y), words, EXACT).toarray()
    few = trained(X, Y, everything(Y), words, replace(EXACT, max_weights=5)).toarray()
    for label in range(6):
        largest = np.sort(np.abs(whole[label, :-1]))[-5:]
        assert np.allclose(np.sort(np.abs(few[label, :-1]))[-5:], largest)
        assert (few[label, :-1] != 0).sum() == 5
        assert few[label, -1] == whole[label, -1]
