"""Words and n-grams of texts as numbers: reading them, counting them, and finding the terms of a vocabulary again.

A word's code is its place among `SHORT_WORDS` and the words of the vocabulary; `encode` drops one-letter words and
gives codes less `FIRST_CODE`. An n-gram is found level by level, from its first word on.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.progress import Progress

Codes = npt.NDArray[np.int64]

_WORD = re.compile(r"(?u)\b\w\w+\b")
_ASCII_TO_WORDS = str.maketrans({chr(i): " " for i in range(128) if not (chr(i).isalnum() or chr(i) == "_")})
SHORT_WORDS = "_0123456789abcdefghijklmnopqrstuvwxyz"  # one-letter words get the first codes, to be dropped by code
FIRST_CODE = len(SHORT_WORDS)
UNKNOWN = -1
_TEXTS_A_REPORT = 10_000


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
        possible = np.flatnonzero((prefix >= 0) & (word >= 0))
        wanted = prefix[possible] * self.num_words + word[possible]
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        code = np.full(len(word), UNKNOWN, dtype=np.int64)
        code[possible] = np.where(self.keys[place] == wanted, place, UNKNOWN)
        return code


class _KnownWords(dict[str, int]):
    """Codes of words; any other word has the code -1."""

    def __missing__(self, word: str) -> int:
        return UNKNOWN


def words_of(text: str) -> list[str]:
    """The words of a text in order, of an ASCII text those of one letter too."""
    lowered = text.lower()
    return lowered.translate(_ASCII_TO_WORDS).split() if lowered.isascii() else _WORD.findall(lowered)


def encode(texts: Sequence[str], codes: Mapping[str, int], progress: Progress) -> tuple[Codes, Codes]:
    """Words of all texts as codes less `FIRST_CODE` (unknown: -1), and the text each stands in; int64 (T,) both."""
    flat = array("i")
    lengths = array("q")
    code_of = codes.__getitem__
    for number, text in enumerate(texts, start=1):
        words = words_of(text)
        flat.extend(map(code_of, words))
        lengths.append(len(words))
        if number % _TEXTS_A_REPORT == 0 or number == len(texts):
            progress("read words", number, len(texts))
    code = np.frombuffer(flat, dtype=np.intc).astype(np.int64)
    document = np.repeat(np.arange(len(lengths)), np.frombuffer(lengths, dtype=np.int64))
    long = (code >= FIRST_CODE) | (code == UNKNOWN)
    code = code[long]
    return np.where(code == UNKNOWN, UNKNOWN, code - FIRST_CODE), document[long]


def shifted(words: Codes, documents: Codes, distance: int) -> Codes:
    """The word `distance` places on in the same document, -1 where there is none."""
    later = np.full(len(words), UNKNOWN, dtype=np.int64)
    same = documents[distance:] == documents[: len(documents) - distance]
    later[: len(words) - distance][same] = words[distance:][same]
    return later


def count(rows: Codes, columns: Codes, shape: tuple[int, int]) -> sp.csr_matrix:
    """float32 CSR, sorted: how often each pair occurs, `rows` ascending; pairs of a column below 0 are left out."""
    present = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[present], minlength=shape[0]))])
    ones = np.ones(int(indptr[-1]), dtype=np.float32)
    counts = sp.csr_matrix((ones, columns[present].astype(np.int32), indptr), shape=shape)
    counts.sum_duplicates()
    return counts


def index_terms(terms: list[str]) -> tuple[_KnownWords, list[Level]]:
    """Codes of all words of the terms, and the levels that find the terms."""
    if not any(" " in term for term in terms):  # in alphabetical order, so a word's code is its column
        column = np.arange(len(terms), dtype=np.int64)
        known = _KnownWords(zip([*SHORT_WORDS, *terms], range(FIRST_CODE + len(terms)), strict=True))
        return known, [Level(column, column, len(terms))]
    parts = [term.split(" ") for term in terms]
    words = sorted({word for term in parts for word in term})
    codes = _KnownWords({word: code for code, word in enumerate([*SHORT_WORDS, *words])})
    lengths = np.array([len(term) for term in parts], dtype=np.int64)
    levels = []
    prefix = np.zeros(len(terms), dtype=np.int64)
    for length in range(1, int(lengths.max(initial=1)) + 1):
        long = np.flatnonzero(lengths >= length)
        last = np.array([codes[parts[index][length - 1]] - FIRST_CODE for index in long.tolist()], dtype=np.int64)
        keys, prefix[long] = np.unique(prefix[long] * len(words) + last, return_inverse=True)
        column = np.full(len(keys), UNKNOWN, dtype=np.int64)
        ends = lengths[long] == length
        column[prefix[long][ends]] = long[ends]
        levels.append(Level(keys, column, len(words)))
    return codes, levels
