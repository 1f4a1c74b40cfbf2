"""Stems of label names against sets of words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xmlcli.features.name_stems import name_stems
from xmlcli.features.tfidf import FeatureConfig, TextFeatures

TEXTS = [
    "painters painted the abbey", "the painting of birds", "a bird, the birds and history",
    "chess games in 1844", "the game of chess", "the history of painting",
]  # fmt: skip


def fitted(**options: int | None) -> TextFeatures:
    return TextFeatures.fit(TEXTS, FeatureConfig(min_df=1, **options))


def parts(features: TextFeatures, names: list[str]) -> list[list[tuple[set[str], int]]]:
    """The stems that features have of each name's head and rest, and how many there are."""
    stems = name_stems(features, names)
    assert stems is not None
    letters = {int(stem): term[:6] for stem, term in zip(stems.stem_of, features.terms, strict=False)}
    found = []
    counted = stems.sums[:, 1::2].astype(int).tolist()
    for (begin, middle, end), counts in zip(stems.offsets.tolist(), counted, strict=True):
        rows = [{letters[int(s)] for s in stems.stems[a:b]} for a, b in ((begin, middle), (middle, end))]
        found.append(list(zip(rows, counts, strict=True)))
    return found


@pytest.mark.parametrize(
    ("name", "head", "rest"),
    [
        ("Painting", ({"painti"}, 1), (set(), 0)),
        ("Birds, birds", ({"birds"}, 1), (set(), 0)),
        ("Painting -- History -- Atlantis", ({"painti"}, 1), ({"histor"}, 2)),
        ("Chess (game)", ({"chess"}, 1), ({"game"}, 1)),
        ("(Game)", ({"game"}, 1), (set(), 0)),  # a head without words is none
        ("Abbey, Jacob, 1844-1921", ({"abbey", "1844"}, 4), (set(), 0)),
        ("Well-being--game", ({"game"}, 3), (set(), 0)),
        ("", (set(), 0), (set(), 0)),
    ],
)
def test_a_name_is_cut_into_head_and_rest(name: str, head: tuple[set[str], int], rest: tuple[set[str], int]) -> None:
    assert parts(fitted(), ["The", name]) == [[({"the"}, 1), (set(), 0)], [head, rest]]


def test_character_ngrams_are_no_stems() -> None:
    features = fitted(char_ngrams=4)
    stems = name_stems(features, ["Chess"])
    assert stems is not None
    assert len(stems.stem_of) == len(features.idf) > len(features.terms)
    assert (stems.stem_of[len(features.terms) :] == len(stems.rarity)).all()


def test_a_stem_of_more_documents_counts_less_and_one_of_none_as_the_rarest() -> None:
    stems = name_stems(fitted(), ["Painting", "Atlantis", "Chess birds"])
    assert stems is not None
    share = {"painti": 3 / 7, "chess": 3 / 7, "birds": 3 / 7}  # (1 + n) / (1 + N) as idf has it, n of "painting" is 2
    rarest = 1 - math.log(2 / 7)
    wanted = [[1 - math.log(share["painti"]), 0], [rarest, 0], [2 * (1 - math.log(share["chess"])), 0]]
    assert np.allclose(stems.sums[:, ::2], wanted, atol=1e-5)


def test_names_without_a_word_of_the_documents_have_no_stems() -> None:
    assert name_stems(fitted(), ["Atlantis", "17", ""]) is None
