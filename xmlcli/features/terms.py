"""Words and n-grams of texts as numbers: reading them, and finding the terms of a vocabulary again.

A word's code is its place in a `WordTable`; one-letter words are left out. An n-gram is found level by level, from its
first word on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from xmlcli.features.word_table import UNKNOWN, WordTable
from xmlcli.progress import Progress

Codes = npt.NDArray[np.int64]
Number = TypeVar("Number", np.int32, np.int64)

_WORD = re.compile(r"(?u)\b\w\w+\b")


@dataclass(frozen=True)
class Level:
    """The n-grams of one length that are terms or begin longer ones.

    Attributes:
        keys: int64, sorted: code of the n-gram without its last word, times W, plus the code of that word.
        column: int64, same length: column of the term, or -1.
        num_words: W.
    """

    keys: Codes
    column: Codes
    num_words: int

    def lookup(self, prefix: Codes, word: Codes) -> Codes:
        """Code of each n-gram, its place in `keys`, or -1."""
        code = np.full(len(word), UNKNOWN, dtype=np.int64)
        if not len(self.keys):
            return code
        possible = np.flatnonzero((prefix >= 0) & (word >= 0))
        wanted = prefix[possible] * self.num_words + word[possible]
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        code[possible] = np.where(self.keys[place] == wanted, place, UNKNOWN)
        return code


def words_of(text: str) -> list[str]:
    """The words of one text in order."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Places:
    """The words of some texts, one after the other.

    Attributes:
        words: int32 (T,), numbers of words.
        offsets: int64 (N + 1,), where each text's begin.
        vocabulary: the words by number.
    """

    words: npt.NDArray[np.int32]
    offsets: Codes
    vocabulary: list[str]

    @cached_property
    def _texts(self) -> Codes:
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def shifted(self, codes: npt.NDArray[Number], distance: int) -> npt.NDArray[Number]:
        """The code `distance` places on in the same text, UNKNOWN where there is none, of codes (T,)."""
        if not distance:
            return codes
        later = np.full(len(codes), UNKNOWN, codes.dtype)
        same = self._texts[distance:] == self._texts[: len(codes) - distance]
        later[: len(codes) - distance][same] = codes[distance:][same]
        return later


def encode(texts: Sequence[str], progress: Progress) -> Places:
    """Number the words of texts."""
    table = WordTable()
    codes, lengths, done = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)], 0
    for some, counts in table.read(texts):
        codes.append(some)
        lengths.append(counts)
        done += len(counts)
        progress("read words", done, len(texts))
    return Places(np.concatenate(codes), np.cumsum(np.concatenate(lengths)), table.words())


def index_terms(terms: list[str]) -> tuple[list[str], list[Level]]:
    """The words of the terms, whose place is their code, and the levels that find the terms."""
    if not any(" " in term for term in terms):  # in alphabetical order, so a word's code is its column
        column = np.arange(len(terms), dtype=np.int64)
        return terms, [Level(column, column, len(terms))]
    parts = [term.split(" ") for term in terms]
    words = sorted({word for term in parts for word in term})
    codes = {word: code for code, word in enumerate(words)}
    lengths = np.array([len(term) for term in parts], dtype=np.int64)
    levels = []
    prefix = np.zeros(len(terms), dtype=np.int64)
    for length in range(1, int(lengths.max(initial=1)) + 1):
        long = np.flatnonzero(lengths >= length)
        last = np.array([codes[parts[index][length - 1]] for index in long.tolist()], dtype=np.int64)
        keys, prefix[long] = np.unique(prefix[long] * len(words) + last, return_inverse=True)
        column = np.full(len(keys), UNKNOWN, dtype=np.int64)
        ends = lengths[long] == length
        column[prefix[long][ends]] = long[ends]
        levels.append(Level(keys, column, len(words)))
    return words, levels
