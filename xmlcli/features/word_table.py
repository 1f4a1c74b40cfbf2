"""Words of texts as numbers.

A word is a run of two or more letters, digits and underscores of the lower-cased text, as `(?u)\\b\\w\\w+\\b` finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from xmlcli.arrays import Bools, Ints, Longs
from xmlcli.kernels.word_hash import SHORTEST, UNKNOWN, CodePoints, HashTable, TextBlock, fill_slots, number_words
from xmlcli.progress import Progress

_T = TypeVar("_T", bound=np.generic)

_WORD = re.compile(r"(?u)\b\w\w+\b")
_BLOCK = 1 << 22  # code points, about


@dataclass(frozen=True)
class EncodedTexts:
    """The words of N texts, one after the other.

    Attributes:
        words: int32 (T,), numbers of words.
        offsets: int64 (N + 1,), where each text's words begin.
        vocabulary: the words by number.
    """

    words: Ints
    offsets: Longs
    vocabulary: list[str]


def words_of(text: str) -> list[str]:
    """Return the words of one text in order."""
    return _WORD.findall(text.lower())


def encode_texts(texts: Sequence[str], progress: Progress) -> EncodedTexts:
    """Number the words of texts."""
    table = WordTable()
    words, lengths, done = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)], 0
    for numbers, counts in table.read(texts):
        words.append(numbers)
        lengths.append(counts)
        done += len(counts)
        progress("read words", done, len(texts))
    return EncodedTexts(np.concatenate(words), np.cumsum(np.concatenate(lengths)), table.words())


class WordTable:
    """Numbers of words, from 0 in the order in which they were first read."""

    def __init__(self) -> None:
        letters, ends, hashes = np.empty(1 << 16, np.uint32), np.zeros(1, np.int64), np.empty(0, np.int64)
        self._table = HashTable(letters, ends, hashes, np.zeros(1, np.int64), np.full(1 << 14, UNKNOWN, np.int32))

    def words(self) -> list[str]:
        """Return the words by number."""
        ends = self._table.ends[: self._table.size[0] + 1].tolist()
        letters = _text(self._table.letters[: ends[-1]])
        return [letters[at:end] for at, end in pairwise(ends)]

    def read(self, texts: Sequence[str]) -> Iterator[tuple[Ints, Longs]]:
        """Give, block by block of the texts, their words' numbers (T,) and how many words each text has (B,).

        A word that is not in the table is added to it.
        """
        block: list[str] = []
        size = 0
        for text in texts:
            block.append(text.lower())
            size += len(text)
            if size >= _BLOCK:
                yield self._read("".join(block), np.cumsum([len(some) for some in block]))
                block, size = [], 0
        if block:
            yield self._read("".join(block), np.cumsum([len(some) for some in block]))

    def _read(self, text: str, ends: Longs) -> tuple[Ints, Longs]:
        """Read texts that stand one after the other and end at `ends`."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        block = TextBlock(points, ends, _word_characters(int(points.max(initial=0)).bit_length()))
        numbers = np.empty(len(points) // SHORTEST + 1, np.int32)
        counts = np.zeros(len(ends), np.int64)
        done, written = 0, 0
        while done < len(ends):
            done, written = number_words(block, self._table, done, written, numbers, counts)
            if done < len(ends):
                self._grow(int(ends[done] - (ends[done - 1] if done else 0)))
        return numbers[:written], counts

    def _grow(self, length: int) -> None:
        """Make room for all words that a text of that length may have."""
        letters, ends, hashes, size, slots = self._table
        words = int(size[0]) + length // SHORTEST + 1
        letters, hashes = _longer(letters, int(ends[size[0]]) + length), _longer(hashes, words)
        self._table = HashTable(letters, _longer(ends, len(hashes) + 1), hashes, size, slots)
        if 2 * words > len(slots):
            self._table = self._table._replace(slots=np.full(1 << (4 * words).bit_length(), UNKNOWN, np.int32))
            fill_slots(self._table)


def _longer(array: npt.NDArray[_T], needed: int) -> npt.NDArray[_T]:
    """Return an array with the same start and room for more."""
    if needed <= len(array):
        return array
    longer = np.zeros(2 * needed, array.dtype)
    longer[: len(array)] = array
    return longer


def _text(points: CodePoints) -> str:
    return points.tobytes().decode("utf-32-le", "surrogatepass")


@cache
def _word_characters(bits: int) -> Bools:
    """Mark the code points below 2^bits that words are made of."""
    return np.array([chr(point).isalnum() or chr(point) == "_" for point in range(min(1 << bits, 0x110000))])
