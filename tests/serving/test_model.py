"""A loaded model: what it takes, how many labels it gives, and the same answers to several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from support import small_model
from support.small_model import texts_and_labels

from xmlcli.errors import UsageError
from xmlcli.serving.model import Model, load

TEXTS = texts_and_labels(40, 5)[0]


def test_documents_of_the_wrong_kind_are_refused() -> None:
    model = load(small_model.folder())
    for documents in ("a text", None, 5, [3], sp.csr_matrix((1, 4))):
        with pytest.raises(UsageError):
            model.predict(documents)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"documents\[1\](.|\n)*NoneType"):
        model.predict(["a", None])  # type: ignore[list-item]
    for k in (0, 2.5, None, "3"):
        with pytest.raises(UsageError, match="1 or more"):
            model.predict(["a"], k)  # type: ignore[arg-type]
    assert model.predict(["ships0"], np.int64(2)) == model.predict(["ships0"], 2)


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
    assert model.predict([]) == []
