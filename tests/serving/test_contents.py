"""The parts of a model that its settings name are there, and no others are half there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from xmlcli.errors import ArtifactError
from xmlcli.prediction.combination import Combination
from xmlcli.serving.contents import ModelContents

THERE = object()


def check(backend: str = "words", votes: int = 0, coefficients: tuple[str, ...] = (), **parts: Any) -> None:
    known: dict[str, Any] = dict.fromkeys(("words", "voters", "voters_labels", "linear", "label_text"))
    combination = Combination("logistic", dict.fromkeys(("intercept", *coefficients), 1.0), voters=votes)
    settings = SimpleNamespace(shortlist=SimpleNamespace(backend=backend))
    contents: Any = SimpleNamespace(settings=settings, combination=combination, **(known | parts))
    ModelContents.check_parts(contents)


def test_whole_models_pass() -> None:
    check(words=THERE)
    check(backend="exact")
    check(words=THERE, votes=3, voters=THERE, voters_labels=THERE)
    check(words=THERE, linear=THERE, coefficients=("linear*frequency", "classifier*frequency"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "words, by which labels are searched"),
        ({"words": THERE, "votes": 3}, "documents with kNN votes"),
        ({"words": THERE, "voters": THERE, "voters_labels": THERE}, "documents with kNN votes"),
        ({"words": THERE, "votes": 3, "voters": THERE}, "documents with kNN votes"),
        ({"words": THERE, "coefficients": ("linear*frequency",)}, "the score of linear"),
    ],
    ids=["no words", "votes of nobody", "voters without votes", "voters without labels", "a product of nothing"],
)
def test_a_part_that_is_missing_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        check(**given)
