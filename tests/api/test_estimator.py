"""The scikit-learn estimator: its contract, both kinds of y, and sparse scores."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.utils import estimator_checks
from support.small_model import SMALL, texts_and_labels

from xmlcli import XMLClassifier
from xmlcli.errors import UsageError

TEXTS, LABELS = texts_and_labels(160, 1)
WITHOUT_DATA = (
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
)
"""Checks that scikit-learn leaves out with all others where X is no matrix, though they need none."""


@pytest.mark.filterwarnings("ignore:Can't test estimator")  # the checks of fitting give matrices, not texts
def test_scikit_learn_accepts_the_estimator() -> None:
    results = estimator_checks.check_estimator(XMLClassifier(settings=SMALL))
    assert [result["status"] for result in results] == ["passed"]


@pytest.mark.parametrize("check", WITHOUT_DATA, ids=lambda check: check.__name__)
def test_the_checks_that_need_no_data_pass(check: Callable[[str, XMLClassifier], None]) -> None:
    check("XMLClassifier", XMLClassifier(settings=SMALL))


@pytest.fixture(scope="module")
def fitted() -> XMLClassifier:
    return XMLClassifier(settings=SMALL, random_state=3).fit(TEXTS[:120], LABELS[:120])


def test_lists_of_labels_are_answered_by_lists(fitted: XMLClassifier) -> None:
    found = fitted.predict(TEXTS[120:])
    assert fitted.classes_.tolist() == sorted({label for row in LABELS for label in row})
    overlap = [len(set(row) & set(wanted)) / len(wanted) for row, wanted in zip(found, LABELS[120:], strict=True)]
    assert np.mean(overlap) > 0.5
    assert fitted.score(TEXTS[120:], LABELS[120:]) > 0.8


def test_scores_are_sparse_and_probabilities_their_sigmoid(fitted: XMLClassifier) -> None:
    scores, probabilities = fitted.decision_function(TEXTS[:9]), fitted.predict_proba(TEXTS[:9])
    assert sp.issparse(scores)
    assert scores.shape == probabilities.shape == (9, len(fitted.classes_))
    assert np.allclose(probabilities.data, 1 / (1 + np.exp(-scores.data)), atol=1e-6)
    chosen = probabilities >= fitted.threshold
    for row, labels in enumerate(fitted.predict(TEXTS[:9])):
        assert sorted(labels) == fitted.classes_[chosen[row].indices].tolist()


def test_an_indicator_matrix_is_answered_by_one_with_the_same_labels(fitted: XMLClassifier) -> None:
    binarizer = MultiLabelBinarizer()
    Y = np.hstack([binarizer.fit_transform(LABELS), np.zeros((160, 1), int)])  # the last label has no text
    dense = clone(fitted).fit(TEXTS[:120], Y[:120])
    found = dense.predict(TEXTS[120:])
    assert isinstance(found, np.ndarray)
    assert found.shape == (40, Y.shape[1])
    assert not found[:, -1].any()
    assert (found & Y[120:]).sum() / Y[120:].sum() > 0.5
    for threshold in (0.1, 0.9):
        probable = dense.predict_proba(TEXTS[120:]).toarray() >= threshold
        assert (dense.set_params(threshold=threshold).predict(TEXTS[120:]) == probable).all()
    dense.set_params(threshold=0.5)
    dense._indicator = "sparse"
    assert (dense.predict(TEXTS[120:]).toarray() == found).all()


def test_labels_of_any_type_come_back_and_features_do_as_well_as_texts() -> None:
    labels = [[("a", 1)], [2]] * 12
    X = sp.csr_matrix(np.tile(np.eye(2, 6, dtype=np.float32), (12, 1)))
    fitted = XMLClassifier(settings=SMALL, k=1, threshold=0.0).fit(X, labels)
    assert fitted.predict(X[:2].toarray()) == [[("a", 1)], [2]]
    assert fitted.predict_proba(X).shape == (24, 2)


def test_the_words_of_numbered_columns_are_not_trained_on() -> None:
    texts, Y = ["apple 0 0", "plum 1 1"] * 12, np.array([[0, 1], [1, 0]] * 12)  # each says the other column's number
    settings = {**SMALL, "clf.max_epochs": 0, "linear.enabled": False}
    model = XMLClassifier(settings=settings).fit(texts, Y).model_
    assert model.contents is not None
    assert model.contents.label_text is None
    assert model.label_names == ["0", "1"]


def test_a_pickled_estimator_predicts_the_same(fitted: XMLClassifier) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    assert again.predict(TEXTS[120:]) == fitted.predict(TEXTS[120:])
    assert not hasattr(clone(fitted), "model_")


def test_parameters_come_back_from_get_params() -> None:
    parameters = {"settings": SMALL, "threshold": 0.2, "k": 3, "random_state": 1, "device": "cpu"}
    assert XMLClassifier(**parameters).get_params() == parameters  # type: ignore[arg-type]


def test_wrong_uses_are_told() -> None:
    with pytest.raises(NotFittedError):
        XMLClassifier().predict(["a"])
    with pytest.raises(UsageError, match="one label a text"):
        XMLClassifier().fit(["a", "b"], ["x", "y"])
    with pytest.raises(UsageError, match="no indicator matrix"):
        XMLClassifier().fit(["a"], np.array([[2, 0]]))
    with pytest.raises(UsageError, match="same as text"):
        XMLClassifier().fit(["a", "b"], [[1], ["1"]])
    with pytest.raises(UsageError, match="random_state"):
        XMLClassifier(random_state=np.random.RandomState(0)).fit(["a", "b"], [[1], [2]])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [({"k": 0}, "k has to be"), ({"k": True}, "k has to be"), ({"threshold": 2}, "threshold has to be"),
     ({"threshold": float("nan")}, "threshold has to be")],
)  # fmt: skip
def test_parameters_of_no_use_are_told_when_predicting(
    fitted: XMLClassifier, parameters: dict[str, Any], said: str
) -> None:
    other = copy(fitted).set_params(**parameters)
    with pytest.raises(UsageError, match=said):
        other.predict(TEXTS[:2])


def test_0_is_a_seed_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[object] = []

    def note(_X: object, _Y: object, *, settings: dict[str, object], device: str) -> None:
        seeds.append(settings.get("seed"))

    monkeypatch.setattr("xmlcli.api.estimator.fit", note)
    for seed in (0, np.int64(3), None):
        XMLClassifier(random_state=seed).fit(["a"], [["x"]])
    assert seeds == [0, 3, None]
