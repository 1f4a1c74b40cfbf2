"""Words and n-grams of texts as numbers: reading them, counting them, and finding the terms of a vocabulary again.

A word's code is its place in a `WordTable`; one-letter words are left out. An n-gram is found level by level, from its
first word on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.progress import Progress
from xmlcli.word_table import UNKNOWN, WordTable

Codes = npt.NDArray[np.int64]

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


def encode(texts: Sequence[str], progress: Progress) -> tuple[Codes, Codes, list[str]]:
    """The codes of the words of all texts, the text each stands in, int64 (T,) both, and the words by their codes."""
    table = WordTable()
    codes, lengths, done = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)], 0
    for some, counts in table.read(texts):
        codes.append(some)
        lengths.append(counts)
        done += len(counts)
        progress("read words", done, len(texts))
    document = np.repeat(np.arange(len(texts)), np.concatenate(lengths))
    return np.concatenate(codes).astype(np.int64), document, table.words()


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
