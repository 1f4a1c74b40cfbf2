"""Words of texts as numbers, compiled: a hash table of the words seen, in which they are found letter by letter.

A word is a run of two or more letters, digits and underscores of the lower-cased text, as `(?u)\\b\\w\\w+\\b` finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

Numbers = npt.NDArray[np.int32]
Points = npt.NDArray[np.uint32]

_T = TypeVar("_T", bound=np.generic)

UNKNOWN = -1
_BLOCK = 1 << 22  # code points, about
_LENGTH = 2  # of the shortest word
_SEED, _PRIME = 0x811C9DC5, 0x01000193  # of FNV-1a in 32 bits


class WordTable:
    """Numbers of words, from 0 in the order in which they were first read."""

    def __init__(self) -> None:
        self._letters = np.empty(1 << 16, np.uint32)  # of all words, one after the other
        self._ends = np.zeros(1, np.int64)  # of each word in `_letters`, behind a 0
        self._hashes = np.empty(0, np.int64)
        self._size = np.zeros(1, np.int64)  # how many words there are
        self._slots = np.full(1 << 14, UNKNOWN, np.int32)

    def words(self) -> list[str]:
        """Return the words by number."""
        ends = self._ends[: self._size[0] + 1].tolist()
        letters = _text(self._letters[: ends[-1]])
        return [letters[at:end] for at, end in pairwise(ends)]

    def read(self, texts: Sequence[str]) -> Iterator[tuple[Numbers, npt.NDArray[np.int64]]]:
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

    def _read(self, text: str, ends: npt.NDArray[np.int64]) -> tuple[Numbers, npt.NDArray[np.int64]]:
        """Read texts that stand one after the other and end at `ends`."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        is_letter = _word_characters(int(points.max(initial=0)).bit_length())
        numbers = np.empty(len(points) // _LENGTH + 1, np.int32)
        counts = np.zeros(len(ends), np.int64)
        done, written = 0, 0
        while done < len(ends):
            done, written = _number(
                points, ends, is_letter, self._letters, self._ends, self._hashes, self._size,
                self._slots, done, written, numbers, counts,
            )  # fmt: skip
            if done < len(ends):
                self._grow(int(ends[done] - (ends[done - 1] if done else 0)))
        return numbers[:written], counts

    def _grow(self, length: int) -> None:
        """Make room for all words that a text of that length may have."""
        words = int(self._size[0]) + length // _LENGTH + 1
        self._letters = _longer(self._letters, int(self._ends[self._size[0]]) + length)
        self._hashes = _longer(self._hashes, words)
        self._ends = _longer(self._ends, len(self._hashes) + 1)
        if 2 * words > len(self._slots):
            self._slots = np.full(1 << (4 * words).bit_length(), UNKNOWN, np.int32)
            _fill(self._hashes, self._size, self._slots)


def _longer(array: npt.NDArray[_T], needed: int) -> npt.NDArray[_T]:
    """Return an array with the same start and room for more."""
    if needed <= len(array):
        return array
    found = np.zeros(2 * needed, array.dtype)
    found[: len(array)] = array
    return found


def _text(points: Points) -> str:
    return points.tobytes().decode("utf-32-le", "surrogatepass")


@cache
def _word_characters(bits: int) -> npt.NDArray[np.bool_]:
    """Mark the code points below 2^bits that words are made of."""
    return np.array([chr(point).isalnum() or chr(point) == "_" for point in range(min(1 << bits, 0x110000))])


@njit(cache=True, nogil=True)
def _number(  # type: ignore[no-untyped-def]  # pragma: no cover
    points, ends, is_letter, letters, word_ends, hashes, size, slots, first, written, numbers, counts
):
    """Number the words of the texts from `first` on; return the first text there was no room for, and where to write.

    A text is begun only if the table has room for all words it may have. All in one function: a call, with its counting
    of references to arrays, would take four times as long as finding a word.
    """
    mask = len(slots) - 1
    for text in range(first, len(ends)):
        at, end = (ends[text - 1] if text else 0), ends[text]
        most = size[0] + (end - at) // _LENGTH + 1
        if 2 * most > len(slots) or most > len(hashes) or word_ends[size[0]] + end - at > len(letters):
            return text, written
        while at < end:
            start, hashed = at, np.int64(_SEED)
            while at < end and is_letter[points[at]]:
                hashed = ((hashed ^ np.int64(points[at])) * _PRIME) & 0xFFFFFFFF
                at += 1
            length = at - start
            at += length == 0
            if length < _LENGTH:
                continue
            slot = _first_slot(hashed, mask)
            while slots[slot] != UNKNOWN:
                begin = word_ends[slots[slot]]
                if word_ends[slots[slot] + 1] - begin == length:
                    same = 0
                    while same < length and letters[begin + same] == points[start + same]:
                        same += 1
                    if same == length:
                        break
                slot = (slot + 1) & mask
            if slots[slot] == UNKNOWN:
                begin = word_ends[size[0]]
                for j in range(length):
                    letters[begin + j] = points[start + j]
                word_ends[size[0] + 1], hashes[size[0]], slots[slot] = begin + length, hashed, size[0]
                size[0] += 1
            numbers[written] = slots[slot]
            written += 1
            counts[text] += 1
    return len(ends), written


@njit(cache=True, nogil=True)
def _first_slot(hashed, mask):  # type: ignore[no-untyped-def]  # pragma: no cover
    return (hashed ^ (hashed >> 15)) & mask


@njit(cache=True, nogil=True)
def _fill(hashes, size, slots):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Put all words into empty slots."""
    mask = len(slots) - 1
    for number in range(size[0]):
        slot = _first_slot(hashes[number], mask)
        while slots[slot] != UNKNOWN:
            slot = (slot + 1) & mask
        slots[slot] = number
