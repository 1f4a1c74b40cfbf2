"""A hash table of words, in which the words of texts are found letter by letter: open addressing, linear probing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xmlcli.arrays import Bools, Ints, Longs
from xmlcli.kernels.compiled import kernel

CodePoints = npt.NDArray[np.uint32]

UNKNOWN = -1
SHORTEST = 2  # letters of a word
_SEED, _PRIME = 0x811C9DC5, 0x01000193  # of FNV-1a in 32 bits


class HashTable(NamedTuple):
    """Words by number, and where their hashes lead. All arrays but `size` may be longer than is used.

    Attributes:
        letters: uint32, of all words, one after the other.
        ends: int64, of each word in `letters`, behind a 0.
        hashes: int64, of each word.
        size: int64 (1,), how many words there are.
        slots: int32, the number of a word or UNKNOWN; a power of two of them, at least twice as many as words.
    """

    letters: CodePoints
    ends: Longs
    hashes: Longs
    size: Longs
    slots: Ints


class TextBlock(NamedTuple):
    """Some texts, one after the other.

    Attributes:
        points: uint32, their code points.
        ends: int64 (B,), where each text ends.
        is_letter: bool, by code point, whether words are made of it.
    """

    points: CodePoints
    ends: Longs
    is_letter: Bools


@kernel
def number_words(
    block: TextBlock, table: HashTable, first: int, written: int, numbers: Ints, counts: Longs
) -> tuple[int, int]:
    """Number the words of the texts from `first` on; return the first text there was no room for, and where to write.

    numbers: int32, the number of each word from `written` on; counts: int64 (B,), to which each text's words are added.
    A text is begun only if the table has room for all words it may have. All in one function: a call, with its counting
    of references to arrays, would take four times as long as finding a word.
    """
    points, text_ends, is_letter = block
    letters, word_ends, hashes, size, slots = table
    mask = len(slots) - 1
    for text in range(first, len(text_ends)):
        at, end = (text_ends[text - 1] if text else 0), text_ends[text]
        most = size[0] + (end - at) // SHORTEST + 1
        if 2 * most > len(slots) or most > len(hashes) or word_ends[size[0]] + end - at > len(letters):
            return text, written
        while at < end:
            start, hashed = at, np.int64(_SEED)
            while at < end and is_letter[points[at]]:
                hashed = ((hashed ^ np.int64(points[at])) * _PRIME) & 0xFFFFFFFF
                at += 1
            length = at - start
            at += length == 0
            if length < SHORTEST:
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
    return len(text_ends), written


@kernel
def fill_slots(table: HashTable) -> None:
    """Put all words into empty slots."""
    _, _, hashes, size, slots = table
    mask = len(slots) - 1
    for number in range(size[0]):
        slot = _first_slot(hashes[number], mask)
        while slots[slot] != UNKNOWN:
            slot = (slot + 1) & mask
        slots[slot] = number


@kernel
def _first_slot(hashed: np.int64, mask: int) -> np.int64:
    return (hashed ^ (hashed >> 15)) & mask
