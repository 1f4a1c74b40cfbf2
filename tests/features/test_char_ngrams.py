"""Character n-grams of words."""

from __future__ import annotations

import numpy as np
import pytest

from xmlcli.features import char_ngrams
from xmlcli.features.char_ngrams import CharNgrams, count_char_ngrams

WORDS = ["birds", "ab", "😀é", "ananas"]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_all_n_grams_of_words_are_counted(n: int) -> None:
    expected = [[f" {word} "[i : i + n] for i in range(len(word) + 3 - n)] for word in WORDS]
    names, counts = count_char_ngrams(WORDS, n)
    assert names == sorted({ngram for some in expected for ngram in some})
    assert counts.toarray().tolist() == [[some.count(name) for name in names] for some in expected]
    some = names[::2]
    again = CharNgrams(some)
    assert again.count(WORDS).toarray().tolist() == counts.toarray()[:, ::2].tolist()
    assert [sorted(again.of_word(word)) for word in WORDS] == [
        sorted(some.index(ngram) for ngram in own if ngram in some) for own in expected
    ]


def test_nothing_has_no_n_grams() -> None:
    names, counts = count_char_ngrams([], 3)
    assert names == []
    assert counts.shape == (0, 0)
    assert CharNgrams(["abc"]).count([]).shape == (0, 1)


def test_letters_beyond_the_largest_alphabet_are_in_no_n_gram(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(char_ngrams, "_ALPHABET", 3)  # a space, a and b
    names, counts = count_char_ngrams(["abc", "ba"], 2)
    assert names == [" a", " b", "a ", "ab", "ba"]
    assert counts.toarray().tolist() == [[1, 0, 0, 1, 0], [0, 1, 1, 0, 1]]


def test_four_letters_of_the_largest_alphabet_are_one_number() -> None:
    assert char_ngrams._ALPHABET**char_ngrams.LONGEST < 2**63
    rows = np.array([[54_999] * 4], np.uint32)
    assert char_ngrams._keys(rows, np.arange(55_000, dtype=np.uint32))[0] == 55_000**4 - 1
