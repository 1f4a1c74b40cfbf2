"""The Python API: what importing costs, the examples, and training on what is in memory."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from support import small_model
from support.planted_data import collection
from support.small_model import PROJECT, SMALL, texts_and_labels

import xmlcli
import xmlcli.api.estimator
import xmlcli.api.fit
from xmlcli.errors import UsageError


def test_importing_loads_nothing_slow() -> None:
    code = "import sys, xmlcli; print([m for m in ('torch', 'sklearn', 'numba', 'numpy', 'scipy') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, text=True) == "[]\n"


def test_every_public_name_is_there() -> None:
    assert set(dir(xmlcli)) == set(xmlcli.__all__)
    assert all(getattr(xmlcli, name) for name in xmlcli.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = xmlcli.nonsense


def test_the_examples_run() -> None:
    for module in (xmlcli.api.fit, xmlcli.api.estimator):
        assert doctest.testmod(module) == doctest.TestResults(0, 5)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_features_that_are_not_finite_are_refused_by_their_row(form: Callable[[Any], Any]) -> None:
    X = np.ones((4, 3))
    X[2, 1] = np.nan
    with pytest.raises(UsageError, match=r"a feature is not finite\nwhere: documents\[2\]") as refused:
        xmlcli.fit(form(X), [["a"], ["b"]] * 2, settings=SMALL)
    assert "/" not in str(refused.value), "no temporary file is named"


def test_a_model_of_features_is_fitted_saved_and_loaded(tmp_path: Path) -> None:
    X, Y = collection(120, 6, 0)
    labels = [[f"label {i}" for i in row.indices] for row in Y]
    model = xmlcli.fit(X[:100] * 3, labels[:100], settings=SMALL)
    model.save(tmp_path / "model")
    again = xmlcli.load(str(tmp_path / "model"))
    assert repr(again) == f"<xmlcli model: vectors of {X.shape[1]} features to 6 labels>"
    assert again.predict(X[100:]) == model.predict(X[100:])
    assert again.predict(X[100:].toarray()) == model.predict(X[100:] * 2)
    best = [found[0][0] for found in again.predict(X[100:], 1)]
    assert np.mean([name in wanted for name, wanted in zip(best, labels[100:], strict=True)]) > 0.7
    with pytest.raises(UsageError, match="knows no words"):
        again.predict(["a text"])
    with pytest.raises(UsageError, match="another number of features"):
        again.predict(sp.csr_matrix((1, 3)))


def test_given_features_are_weighted_as_in_training() -> None:
    X, Y = collection(60, 4, 1)
    model = xmlcli.fit(X, [[str(i) for i in row.indices] for row in Y], settings=SMALL)
    from xmlcli.features.tfidf import inverse_document_frequency
    from xmlcli.kernels.row_weights import weigh_rows

    expected = weigh_rows(X, inverse_document_frequency(X))
    assert np.allclose(model.features(X).toarray(), expected.toarray())


def test_documents_and_labels_have_to_pair() -> None:
    texts, labels = texts_and_labels(10)
    with pytest.raises(UsageError, match="each document needs a list of labels"):
        xmlcli.fit(texts, labels[:9])


@pytest.mark.parametrize(
    ("documents", "labels", "said"),
    [
        ([], [], "nothing to learn from"),
        (["a b", "c d"], [[], []], "nothing to learn from"),
        (["a b", None], [["x"], ["y"]], r"no text(.|\n)*documents\[1\](.|\n)*NoneType"),
        ("a text", [["x"]], "documents are a list"),
        (None, [["x"]], "documents are a list"),
        (["a b", "c d"], ["fruit", "tools"], r"a list of labels(.|\n)*labels\[0\](.|\n)*'fruit'"),
        (["a b", "c d"], [["x"], [None]], r"label is no text(.|\n)*labels\[1\]"),
        (["a b", "c d"], [["x"], ["\ud800"]], "label is no text"),
        (["a b", "c d"], [["x"], 5], "a list of labels"),
    ],
)
def test_what_is_no_text_and_no_list_is_told_with_its_place(documents: object, labels: object, said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        xmlcli.fit(documents, labels)  # type: ignore[arg-type]
    assert "/tmp" not in str(error.value)


def test_labels_keep_their_names_and_texts_may_come_in_any_collection() -> None:
    texts = ["apple\rpie\u2028 ", "apple \ud800 tart", "apple pie"] * 8
    labels = [{"a;b, c"}, ("two\nlines", 7), []] * 8
    model = xmlcli.fit(np.array(texts), iter(labels), settings=SMALL)  # type: ignore[arg-type]
    assert model.label_names == ["7", "a;b, c", "two\nlines"]
    assert {name for name, _ in model.predict(["pie"])[0]} == set(model.label_names)
    X = np.eye(24, 6, dtype=np.float32)
    assert xmlcli.fit(X, labels, settings=SMALL).label_names == model.label_names  # type: ignore[arg-type]


def test_loading_gives_names_and_probabilities() -> None:
    (found,) = xmlcli.load(small_model.folder()).predict(["coins0 coins1 coins2"], k=2)
    assert found[0][0] == "coins"
    assert 0 < found[1][1] < 0.5 < found[0][1] <= 1
