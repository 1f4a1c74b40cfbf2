"""A loaded model: what it takes, how many labels it gives, and the same answers to several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit
from support import small_model
from support.small_model import texts_and_labels

from xmlcli.errors import ArtifactError, UsageError
from xmlcli.kernels.name_scores import NAME_SCORES
from xmlcli.prediction.combination import Combination
from xmlcli.serving.model import Model, load

TEXTS = texts_and_labels(40, 5)[0]


def test_documents_of_the_wrong_kind_are_refused() -> None:
    model = load(small_model.folder())
    for documents in ("a text", None, 5, [3], sp.csr_matrix((1, 4))):
        with pytest.raises(UsageError):
            model.predict(documents)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"documents\[1\](.|\n)*NoneType"):
        model.predict(["a", None])  # type: ignore[list-item]
    for k in (0, -1, 2.5, None, "3", True, False):
        with pytest.raises(UsageError, match="1 or more"):
            model.predict(["a"], k)  # type: ignore[arg-type]
    for threshold in (2, -0.1, float("nan"), True, None, "0.5", np.array([0.1, 0.2])):
        with pytest.raises(UsageError, match="from 0 to 1"):
            model.predict(["a"], threshold=threshold)  # type: ignore[arg-type]
    assert model.predict(["ships0"], threshold=np.float32(0)) == model.predict(["ships0"], threshold=0)
    assert model.predict(["ships0"], np.int64(2)) == model.predict(["ships0"], 2)


def a_model_of_features() -> Model:
    """The small model as if its words were given features."""
    contents = small_model.contents()
    of_names = {*NAME_SCORES, "name_share*frequency"}
    others = {name: value for name, value in contents.combination.coefficients.items() if name not in of_names}
    combination = replace(contents.combination, coefficients=others)
    return Model.of(replace(contents, combination=combination, frontend=replace(contents.frontend, vocabulary=None)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("kind", [np.array, sp.csr_matrix, sp.csc_matrix, sp.coo_array])
def test_features_that_are_not_finite_are_refused_by_their_row(kind: Callable[..., Any], value: float) -> None:
    model = a_model_of_features()
    X = np.zeros((5, model.num_features))
    X[:, 1], X[3, 2] = 1, value
    with pytest.raises(UsageError, match=r"not finite(.|\n)*documents\[3\]"):
        model.predict(kind(X))


def test_a_matrix_whose_indices_are_out_of_range_is_refused() -> None:
    model = a_model_of_features()
    for column in (-1, model.num_features, 10**6):
        X = sp.csr_matrix((1, model.num_features), dtype=np.float32)
        X.data, X.indices, X.indptr = np.ones(1, np.float32), np.array([column], np.int32), np.array([0, 1], np.int32)
        with pytest.raises(UsageError, match="no valid matrix"):
            model.predict(X)


def test_several_threads_get_the_answers_of_one() -> None:
    model = load(small_model.folder())
    alone = [model.predict([text], 3) for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: model.predict([text], 3), TEXTS * 5)) == alone * 5


def test_k_beyond_the_labels_gives_all_of_them_and_a_threshold_fewer() -> None:
    model: Model = load(small_model.folder())
    (everything,) = model.predict(["ships0"], 1000)
    assert sorted(name for name, _ in everything) == sorted(model.label_names)
    assert everything == sorted(everything, key=lambda pair: -pair[1])
    assert model.predict(["ships0"], 1000, threshold=0.5) == [[pair for pair in everything if pair[1] >= 0.5]]
    exactly = everything[2][1]  # a label that is as probable as the threshold says is shown
    assert model.predict(["ships0"], 1000, threshold=exactly) == [[pair for pair in everything if pair[1] >= exactly]]
    assert model.predict(["unheard"], threshold=1) == [[]]
    assert model.predict([]) == []


def test_the_sums_of_the_authors_are_given_as_they_are_and_probabilities_follow_from_log_odds() -> None:
    plain = small_model.contents()
    authors = Model.of(replace(plain, combination=Combination("authors", {"beta": 0.5})))
    for model, expected in ((Model.of(plain), expit), (authors, lambda sums: np.maximum(sums, 0))):
        labels, scores = model.top_k(TEXTS, 12)
        again, raw = model.top_k_log_odds(TEXTS, 12)
        assert labels.tolist() == again.tolist()
        assert np.allclose(scores, expected(raw), atol=1e-6)
    assert authors.gives_probabilities is False


def test_a_model_that_scores_names_needs_words_and_names() -> None:
    contents = small_model.contents()
    assert contents.combination.uses_names()
    for missing in ({"vocabulary": None}, {"label_names": None}, {"label_names": ["unheard"] * 10}):
        with pytest.raises(ArtifactError, match="label names"):
            Model.of(replace(contents, frontend=replace(contents.frontend, **missing)))
