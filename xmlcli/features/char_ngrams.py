"""Character n-grams of words: all runs of n letters, where a space stands before and behind the word.

"birds" has, for n = 4, " bir", "bird", "irds" and "rds ": what another form of the word, a compound or a name shares
with it. These are the n-grams of scikit-learn's analyzer `char_wb`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.lib.stride_tricks import sliding_window_view

from xmlcli.arrays import Longs
from xmlcli.kernels.word_hash import UNKNOWN, CodePoints

LONGEST = 4  # the shortest word has two letters, four with its spaces
_SPACE = ord(" ")
_ALPHABET = 55_000  # letters at most, so that four of them make a number of 63 bits


class CharNgrams:
    """Some n-grams, numbered in alphabetical order.

    Attributes:
        names: at least one, all different, of the same length, in alphabetical order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._length = len(self.names[0])
        points = _points("".join(self.names)).reshape(-1, self._length)
        self._alphabet = np.unique(points)
        self._keys = _keys(points, self._alphabet)

    def __len__(self) -> int:
        return len(self.names)

    def count(self, words: Sequence[str]) -> sp.csr_matrix:
        """How often words have each n-gram, float32 CSR (W, G)."""
        points, owners = _ngrams(words, self._length)
        keys = _keys(points, self._alphabet)
        number = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[number] == keys
        return _matrix(owners[known], number[known], (len(words), len(self)))

    def of_word(self, word: str) -> list[int]:
        """The numbers of one word's n-grams, without those that have none."""
        padded = f" {word} "
        starts = range(len(padded) - self._length + 1)
        return [n for i in starts if (n := self._number_of.get(padded[i : i + self._length], UNKNOWN)) >= 0]

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}


def count_char_ngrams(words: Sequence[str], n: int) -> tuple[list[str], sp.csr_matrix]:
    """All n-grams of some words in alphabetical order, and how often each word has them, float32 CSR (W, G).

    n: 2 to `LONGEST`.
    """
    points, owners = _ngrams(words, n)
    keys = _keys(points, np.unique(points)[:_ALPHABET])
    points, owners, keys = points[keys >= 0], owners[keys >= 0], keys[keys >= 0]
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    letters = points[first].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    names = [letters[at : at + n] for at in range(0, len(letters), n)]
    return names, _matrix(owners, numbers, (len(words), len(names)))


def _points(text: str) -> CodePoints:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _ngrams(words: Sequence[str], n: int) -> tuple[CodePoints, Longs]:
    """Return the n-grams of words one after the other, uint32 (G, n), and the word that each is of, int64 (G,)."""
    if not words:
        return np.zeros((0, n), np.uint32), np.zeros(0, np.int64)
    points = _points(f" {' '.join(words)} ")
    is_space = points == _SPACE
    runs = sliding_window_view(points, n)
    of_one_word = ~sliding_window_view(is_space, n)[:, 1:-1].any(axis=1)
    owners = np.cumsum(is_space)[: len(runs)] - 1
    return runs[of_one_word], owners[of_one_word]


def _keys(points: CodePoints, alphabet: CodePoints) -> Longs:
    """Return a number for each n-gram (G, n), ascending as they do; UNKNOWN where a letter is not of the alphabet."""
    keys, known = np.zeros(len(points), np.int64), np.ones(len(points), np.bool_)
    for column in points.T:
        digit = np.minimum(np.searchsorted(alphabet, column), len(alphabet) - 1)
        known &= alphabet[digit] == column
        keys = keys * len(alphabet) + digit
    return np.where(known, keys, UNKNOWN)


def _matrix(rows: Longs, columns: Longs, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
