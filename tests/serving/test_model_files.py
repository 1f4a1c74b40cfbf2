"""What is checked of a model's files: names of labels, and each tensor against the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xmlcli.errors import ArtifactError
from xmlcli.serving.model_files import Form, _check_file, _check_label_names

TABLE = {
    "scale": Form("F32", ("L",), 0, 2),
    "rest": Form("I8", ("bytes of rest",)),
    "more": Form("F32", ("L",), optional=True),
}


def test_labels_have_as_many_names_as_there_are() -> None:
    _check_label_names(None, 2)
    _check_label_names(["a", ""], 2)
    for names in (["a"], ["a", "b", "c"], ["a", 1], "ab", {"a": "b"}):
        with pytest.raises(ArtifactError, match="2 texts"):
            _check_label_names(names, 2)


def test_numbers_may_be_as_small_and_as_large_as_the_table_says() -> None:
    dims: dict[str, int] = {}
    _check_file("f", {"scale": np.array([0, 2], np.float32), "rest": np.zeros(0, np.int8)}, TABLE, dims)
    assert dims == {"L": 2, "bytes of rest": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": np.array([0, 2.001], np.float32)},
        {"scale": np.array([-0.001, 2], np.float32)},
        {"scale": np.array([0, np.nan], np.float32)},
        {"scale": np.zeros(2, np.int8)},
        {"scale": np.zeros((2, 1), np.float32)},
        {"scale": np.zeros(0, np.float32)},
        {"more": np.zeros(3, np.float32)},
        {"other": np.zeros(2, np.float32)},
        {"rest": None},
    ],
    ids=str,
)
def test_other_tensors_than_the_tables_are_refused(changes: dict[str, Any]) -> None:
    arrays = {"scale": np.zeros(2, np.float32), "rest": np.zeros(3, np.int8)} | changes
    with pytest.raises(ArtifactError, match="does not fit"):
        _check_file("f", {name: array for name, array in arrays.items() if array is not None}, TABLE, {})
