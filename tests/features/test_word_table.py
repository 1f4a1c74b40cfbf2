"""Words of texts as numbers, compiled, against a dictionary."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmlcli.features import word_table
from xmlcli.features.word_table import WordTable

LETTERS = "aBé߂ß_9İΣ \n.\ud800😀ǅ½"


def numbered(texts: list[str], known: dict[str, int]) -> list[list[int]]:
    """Number words as `WordTable.read` does."""
    found = []
    for text in texts:
        words = re.findall(r"(?u)\b\w\w+\b", text.lower())
        found.append([known.setdefault(word, len(known)) for word in words])
    return found


def read(table: WordTable, texts: list[str]) -> list[list[int]]:
    found = []
    for numbers, counts in table.read(texts):
        found += [some.tolist() for some in np.split(numbers, np.cumsum(counts)[:-1])]
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(LETTERS, max_size=30)), st.lists(st.text(LETTERS, max_size=30)), st.sampled_from([1, 40, 1 << 22])
)
def test_words_are_numbered_in_order_and_found_again(texts: list[str], others: list[str], block: int) -> None:
    known: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_table, "_BLOCK", block)
        table = WordTable()
        assert read(table, texts) == numbered(texts, known)
        assert table.words() == list(known)
        assert read(table, others) == numbered(others, known)
        assert table.words() == list(known)


def test_the_table_grows_with_its_words() -> None:
    words = [f"w{number}" for number in range(50_000)]
    table = WordTable()
    texts = [" ".join(words[:30]), " ".join(words[:20_000]), *words[20_000:]]
    assert np.concatenate(read(table, texts)).tolist() == [
        *range(30),
        *range(20_000),
        *range(20_000, 50_000),
    ]
    assert table.words() == words
    assert np.concatenate(read(table, [" ".join(reversed(words))])).tolist() == [*range(50_000)][::-1]


def test_nothing_gives_nothing() -> None:
    assert list(WordTable().read([])) == []
    assert read(WordTable(), ["", "x", "ab"]) == [[], [], [0]]
