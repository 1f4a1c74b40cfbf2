"""The documents of phase 3: which are trained on, and how much of their shortlists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from support.fake_stages import make_config
from support.planted_data import collection

from xmlcli.classifiers.data import TrainingData
from xmlcli.config.sections import ClfConfig

BATCH = replace(make_config().clf, negatives="batch", hard_negatives=3)
DOCUMENT = replace(BATCH, negatives="document", hard_negatives=0)


def test_documents_without_features_or_labels_are_not_trained_on() -> None:
    X = sp.csr_matrix(np.array([[1, 0], [0, 0], [0, 1], [1, 1]], np.float32))
    Y = sp.csr_matrix(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]], np.float32))
    found = TrainingData.of(X, Y, np.arange(8, dtype=np.int32).reshape(4, 2))
    assert found.X.toarray().tolist() == [[1, 0], [1, 1]]
    assert found.Y.toarray().tolist() == [[0, 1, 0], [0, 1, 0]]
    assert found.shortlist.tolist() == [[0, 1], [6, 7]]
    assert 1 in found.trainable
    assert 2 not in found.trainable


@pytest.mark.parametrize(("config", "width"), [(BATCH, 3), (DOCUMENT, 7)], ids=["batch", "document"])
def test_steps_keep_as_much_of_the_shortlists_as_they_use(config: ClfConfig, width: int) -> None:
    X, Y = collection(20, 9, 0)
    shortlist = np.random.default_rng(0).integers(0, 9, (20, 7)).astype(np.int32)
    whole = TrainingData.of(X, Y, shortlist)
    kept = whole.for_steps(config)
    assert kept.shortlist.tolist() == whole.shortlist[:, :width].tolist()
    assert kept.shortlist.base is None or width == 7  # the rest is let go
    assert kept.X is whole.X
