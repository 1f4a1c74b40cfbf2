"""Scores by sparse rows against the dense product, by label and by document."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from support.planted_data import sparse_rows

from xmlcli.kernels import row_scores
from xmlcli.kernels.quantised import QuantisedRows
from xmlcli.kernels.row_scores import SparseRows, score_rows
from xmlcli.machine import threads


def used_kernels(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set that will hold the names of the kernels that were called, with labels or for documents."""
    used: set[str] = set()
    for name in ("_by_label", "_by_document"):
        kernel = getattr(row_scores, name)

        def noted(*args: Any, name: str = name, kernel: Any = kernel) -> None:
            if name == "_by_document" or len(args[2]):
                used.add(name)
            kernel(*args)

        monkeypatch.setattr(row_scores, name, noted)
    return used


def classifiers(density: float) -> sp.csr_matrix:
    """Return rows of seven labels, float32 CSR (7, 401), the third of them zeros."""
    found = sp.random(7, 401, density, "csr", np.float32, np.random.default_rng(1))
    found.data[found.indptr[2] : found.indptr[3]] = 0
    return found


@pytest.mark.parametrize("density", [0.1, 0.9], ids=["short rows", "long rows"])
@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("biases", [False, True], ids=["no bias", "biases"])
@pytest.mark.parametrize("count", [1, 2])
def test_scores_are_entries_of_the_product_and_padding_scores_zero(
    density: float, quantised: bool, biases: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    X, candidates = sparse_rows(90, 400, 5, rng), rng.integers(0, 8, (90, 6)).astype(np.int32)  # 7 is padding
    W = classifiers(density) if biases else classifiers(density)[:, :400].tocsr()
    monkeypatch.setattr(threads, "num_threads", lambda: count)
    used = used_kernels(monkeypatch)
    if quantised:
        Q = QuantisedRows.of(W, num_columns=400)
        rows, weights, bias = Q.rows(), Q.floats().toarray(), Q.bias
    else:
        rows, weights = SparseRows.of(W), W.toarray()[:, :400]
        bias = W.toarray()[:, 400] if biases else np.zeros(7)
    found = score_rows(X, rows, candidates)
    assert (found.dtype, found.shape) == (np.float32, (90, 6))
    products = np.column_stack([X.toarray() @ weights.T + bias, np.zeros(90)])
    assert np.allclose(found, np.take_along_axis(products, candidates, axis=1), atol=1e-5)
    assert ("_by_label" in used) == (density > 0.5)


def test_labels_of_long_rows_and_many_documents_are_scored_at_once_the_others_document_by_document() -> None:
    long = sp.csr_matrix(np.ones((3, 300), np.float32))
    short = sp.csr_matrix((np.ones(3, np.float32), [0, 1, 2], [0, 1, 2, 3]), shape=(3, 300))
    W = sp.vstack([long, short], format="csr")
    candidates = np.tile(np.array([0, 1, 3, 4], np.int32), (50, 1))
    candidates[0, 1] = 2
    candidates[1:, 1] = 6  # padding
    by_label, offsets, cells = row_scores._group(candidates, W.indptr, 4.0)
    assert by_label.tolist() == [True, False, False, False, False, False]
    assert np.diff(offsets).tolist() == [50, 0, 0, 0, 0, 0]
    assert cells.tolist() == [4 * i for i in range(50)]
    by_label, offsets, cells = row_scores._group(candidates[:20], W.indptr, 4.0)
    assert by_label.any()
    assert len(cells) == 20
    by_label, offsets, cells = row_scores._group(np.hstack([candidates] * 2 + [candidates[:, 3:]] * 8), W.indptr, 4.0)
    assert not by_label.any(), "what one label saves is less than counting so many others costs"
    assert (len(offsets), len(cells)) == (7, 0)


@pytest.mark.parametrize("num_documents", [0, 1, 2, 40, 1000])
def test_a_document_scores_the_same_in_any_company_but_for_rounding(
    num_documents: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    X = sparse_rows(1000, 400, 3, rng)[:num_documents]
    candidates = rng.integers(0, 8, (1000, 3)).astype(np.int32)[:num_documents]
    rows = SparseRows.of(classifiers(0.9))
    used = used_kernels(monkeypatch)
    together = score_rows(X, rows, candidates)
    assert together.shape == (num_documents, 3)
    assert used == {"_by_document"} | ({"_by_label"} if num_documents >= 40 else set())
    used.clear()
    alone = [score_rows(X[i : i + 1], rows, candidates[i : i + 1])[0] for i in range(num_documents)]
    assert used <= {"_by_document"}
    assert np.allclose(together, np.reshape(alone, (num_documents, 3)), atol=1e-6)


def test_independent_scores_are_those_of_each_document_alone() -> None:
    """Few labels with long rows, which are otherwise scored for all their documents at once."""
    rng = np.random.default_rng(5)
    X = sp.random(200, 500, 0.02, "csr", np.float32, rng)
    rows = SparseRows.of(sp.random(8, 500, 0.9, "csr", np.float32, rng))
    candidates = np.tile(np.arange(8, dtype=np.int32), (200, 1))
    alone = np.vstack([score_rows(X[i : i + 1], rows, candidates[i : i + 1]) for i in range(200)])
    assert (score_rows(X, rows, candidates) != alone).any()
    assert (score_rows(X, rows, candidates, independent=True) == alone).all()
