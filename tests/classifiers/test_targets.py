"""The labels of a batch, which are positives and which count, against loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from support.training_batches import AUTHORS, BATCH, DOCUMENT, batch, cells

from xmlcli.classifiers.targets import Targets, draw_targets
from xmlcli.config.sections import ClfConfig


def spread(targets: Targets, L: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The targets as bool (B, L): which cells count, and which of them are positive."""
    B = int(targets.rows.max()) + 1
    counts, positive = np.zeros((B, L), bool), np.zeros((B, L), bool)
    counts[:, targets.labels] = True if targets.mask is None else targets.mask
    positive[targets.rows, targets.labels[targets.columns]] = True
    return counts, positive


@pytest.mark.parametrize("config", [BATCH, DOCUMENT], ids=["batch", "document"])
@pytest.mark.parametrize("seed", range(5))
def test_targets_are_positives_and_shortlisted_negatives(config: ClfConfig, seed: int) -> None:
    Y, shortlist = batch(seed, L=60)
    targets = draw_targets(Y, shortlist, np.arange(58), config, np.random.default_rng(seed))
    counts, positive = spread(targets, 60)
    assert (np.diff(targets.labels) > 0).all()
    assert positive.tolist() == (Y.toarray() > 0).tolist()
    assert counts.tolist() == cells(Y, shortlist, config).tolist()


def test_random_negatives_are_trainable_and_count_for_all_documents() -> None:
    Y, shortlist = batch(0, L=200)
    config = replace(BATCH, hard_negatives=0, random_negatives=30)
    trainable = np.arange(0, 198, 2)
    Y = sp.csr_matrix((Y.data, (Y.nonzero()[0], Y.nonzero()[1] // 2 * 2)), shape=Y.shape)
    for seed in range(8):
        targets = draw_targets(Y, shortlist, trainable, config, np.random.default_rng(seed))
        counts, positive = spread(targets, 200)
        extra = np.flatnonzero(counts.any(axis=0) & ~positive.any(axis=0))
        assert 10 < len(extra) <= 30
        drawn = trainable[np.random.default_rng(seed).integers(0, len(trainable), 30)]
        assert extra.tolist() == np.setdiff1d(drawn, positive.any(axis=0).nonzero()[0]).tolist()
        assert (counts == counts.any(axis=0)).all()


def test_an_unkept_positive_that_was_retrieved_is_a_negative_as_with_the_authors() -> None:
    """30 positives, all retrieved, k = 40: 20 targets of 1, 10 true labels and 10 others of 0 (method notes, D1)."""
    Y = sp.csr_matrix((np.arange(100) < 30).astype(np.float32)[None])
    shortlist = np.arange(40, dtype=np.int32)[None]
    kept = []
    for seed in range(4):
        targets = draw_targets(Y, shortlist, np.arange(100), AUTHORS, np.random.default_rng(seed))
        counts, positive = spread(targets, 100)
        assert positive.sum() == 20
        assert positive[0, :30].sum() == 20
        assert counts[0].nonzero()[0].tolist() == list(range(40))
        kept.append(tuple(positive[0].nonzero()[0]))
    assert len(set(kept)) == 4  # drawn anew each time


def test_true_labels_are_never_negatives_of_ours() -> None:
    Y = sp.csr_matrix((np.arange(100) < 30).astype(np.float32)[None])
    shortlist = np.arange(40, dtype=np.int32)[None]
    for config in (BATCH, DOCUMENT):
        targets = draw_targets(
            Y, shortlist, np.arange(100), replace(config, hard_negatives=40), np.random.default_rng(0)
        )
        counts, positive = spread(targets, 100)
        assert positive[0].nonzero()[0].tolist() == list(range(30))
        assert (counts & ~positive)[0].nonzero()[0].tolist() == list(range(30, 40))


def test_documents_of_few_labels_keep_them_all_with_the_authors() -> None:
    Y, shortlist = batch(1)
    targets = draw_targets(Y, shortlist, np.arange(13), AUTHORS, np.random.default_rng(0))
    counts, positive = spread(targets, 15)
    assert positive.tolist() == (Y.toarray() > 0).tolist()
    assert counts.tolist() == cells(Y, shortlist, DOCUMENT).tolist()


def test_the_farthest_retrieved_labels_make_room_for_positives() -> None:
    Y = sp.csr_matrix((np.isin(np.arange(10), [0, 8, 9])).astype(np.float32)[None])
    shortlist = np.array([[5, 0, 4, 3, 2]], np.int32)
    targets = draw_targets(Y, shortlist, np.arange(10), DOCUMENT, np.random.default_rng(0))
    counts, _ = spread(targets, 10)
    assert counts[0].nonzero()[0].tolist() == [0, 4, 5, 8, 9]


def test_as_many_positives_are_kept_of_each_document_and_none_of_another() -> None:
    truth = np.repeat(np.eye(3, dtype=np.float32), 30, axis=1)  # 30 labels each
    shortlist = np.full((3, 40), 90, np.int32)
    config = replace(AUTHORS, max_positives=7)
    targets = draw_targets(sp.csr_matrix(truth), shortlist, np.arange(90), config, np.random.default_rng(0))
    _, positive = spread(targets, 90)
    assert positive.sum(axis=1).tolist() == [7, 7, 7]
    assert not (positive & (truth == 0)).any()


@pytest.mark.parametrize("config", [BATCH, DOCUMENT], ids=["batch", "document"])
def test_the_targets_of_a_share_of_the_labels_are_counted_from_its_start(config: ClfConfig) -> None:
    Y, shortlist = batch(2, L=60)
    whole = draw_targets(Y, shortlist, np.arange(58), config, np.random.default_rng(0))
    counts, positive = spread(whole, 60)
    for share in (slice(0, 20), slice(20, 45), slice(45, 60)):
        own = whole.of_labels(share, 60)
        there = (whole.labels >= share.start) & (whole.labels < share.stop)
        assert own.labels.tolist() == (whole.labels[there] - share.start).tolist()
        found = np.zeros((12, share.stop - share.start), bool)
        found[own.rows, own.labels[own.columns]] = True
        assert found.tolist() == positive[:, share].tolist()
        if own.mask is not None:
            assert own.mask.tolist() == counts[:, share][:, own.labels].tolist()
    assert whole.of_labels(slice(0, 60), 60) is whole
