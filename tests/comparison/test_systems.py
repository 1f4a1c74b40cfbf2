"""Where rankings differ: recall by frequency of labels, and the documents that changed most."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmlcli.comparison.systems import System, Truth, by_frequency, most_changed

Y = sp.csr_matrix(np.array([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [1, 0, 0, 0, 0]], np.float32))
ON = Truth(Y, np.ones(5, np.float32), np.array([0, 1, 3, 4, 2000]), ["a", "b", "c", "d", "e"])
FIRST = System("first", np.array([[0, 2, 5], [3, 4, 5], [3, 4, 0], [1, 2, 3]], np.int32))
OTHER = System("other", np.array([[0, 1, 2], [1, 2, 0], [0, 1, 2], [1, 2, 3]], np.int32))


def test_recall_is_counted_by_the_frequency_of_the_label() -> None:
    bins = {b.title: (b.labels, b.pairs, b.recall) for b in by_frequency([FIRST, OTHER], ON, 2)}
    assert bins == {
        "0": (1, 2, [50, 50]),
        "1": (1, 2, [0, 100]),
        "2–5": (2, 2, [50, 50]),
        "over 1,000": (1, 1, [100, 0]),
    }


def test_every_pair_lies_in_one_bin() -> None:
    rng = np.random.default_rng(0)
    many = sp.csr_matrix(rng.random((80, 60)) < 0.1)
    on = Truth(many, np.ones(60, np.float32), rng.integers(0, 3000, 60))
    top = np.argsort(rng.random((80, 60)), axis=1)[:, :5].astype(np.int32)
    bins = by_frequency([System("s", top)], on, 5)
    assert sum(b.pairs for b in bins) == many.nnz
    right = sum(bool(many[i, label]) for i, row in enumerate(top) for label in row)
    assert sum(b.pairs * b.recall[0] / 100 for b in bins) == pytest.approx(right)


def test_the_documents_with_the_largest_change_come_first() -> None:
    changes = most_changed(FIRST, OTHER, ON, 2, 10)
    assert [(c.document, c.gain) for c in changes] == [(1, 2), (2, -2), (0, 1)]
    assert (changes[0].true, changes[0].first, changes[0].other) == (["b", "c"], ["d", "e"], ["b", "c"])
    assert most_changed(FIRST, OTHER, ON, 2, 1) == changes[:1]


def test_padding_has_no_name_and_a_label_without_one_has_its_number() -> None:
    unnamed = Truth(Y, np.ones(5, np.float32), np.zeros(5, np.int64))
    [change, *_] = most_changed(FIRST, OTHER, unnamed, 3, 10)
    assert change.first == ["3", "4"]


def test_truths_are_the_same_where_labels_and_names_are() -> None:
    moved = Y.copy()
    moved.indices = moved.indices[::-1].copy()
    assert ON.same_as(Truth(Y.copy(), np.zeros(5, np.float32), np.zeros(5, np.int64), ["a", "b", "c", "d", "e"]))
    assert not ON.same_as(Truth(moved, ON.inverse_propensity, ON.frequencies, ON.names))
    assert not ON.same_as(Truth(Y, ON.inverse_propensity, ON.frequencies, ["a", "b", "c", "e", "d"]))
    assert not ON.same_as(Truth(Y[:3], ON.inverse_propensity, ON.frequencies, ON.names))
