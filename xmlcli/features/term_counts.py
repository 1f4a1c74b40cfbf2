"""How often documents have terms, compiled and shared out to threads: from the words as they stand to sorted rows.

A place in the text gives one term a level (the word itself, the n-gram of words that begins there, …), or none, and
the parts of its word.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from numba import njit

from xmlcli.features.word_table import UNKNOWN
from xmlcli.kernels.csr import packed
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress

Numbers = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

_BLOCK = 1 << 13  # documents


def document_frequencies(offsets: Offsets, numbers: Numbers, num_terms: int) -> Offsets:
    """Return how many documents each term stands in, int64 (num_terms,).

    offsets: int64 (N + 1,), where each document's places begin; numbers: int32 (T,), the term of each place or UNKNOWN.
    """
    identity = np.arange(num_terms + 1, dtype=np.int32)
    frequencies: Offsets = _frequencies(offsets, numbers, identity, identity[:-1], num_terms)
    return frequencies


def part_frequencies(offsets: Offsets, words: Numbers, parts: sp.csr_matrix) -> Offsets:
    """Return how many documents each part stands in, int64 (G,).

    words: int32 (T,), none of them UNKNOWN; parts: float32 CSR (W, G), those of each word.
    """
    frequencies: Offsets = _frequencies(offsets, words, parts.indptr, parts.indices, parts.shape[1])
    return frequencies


def count_terms(
    offsets: Offsets, terms: Numbers, num_terms: int, words: Numbers, parts: sp.csr_matrix, progress: Progress
) -> sp.csr_matrix:
    """Return how often documents have each term, and behind these each part, float32 CSR (N, num_terms + G), sorted.

    offsets: int64 (N + 1,), where each document's places begin; terms: int32 (T, levels), UNKNOWN for none;
    words: int32 (T,); parts: float32 CSR (W, G), how often each word has them.
    """
    N, num_columns = len(offsets) - 1, num_terms + parts.shape[1]
    most, lengths = np.diff(parts.indptr) + terms.shape[1], np.zeros(N, np.int64)  # terms that a word may have
    blocks = [(np.zeros(0, np.int32), np.zeros(0, np.float32))]
    for start in range(0, N, _BLOCK):
        block = slice(start, min(start + _BLOCK, N))
        places = offsets[block.start : block.stop + 1]
        begin = np.append(0, np.cumsum(most[words[places[0] : places[-1]]]))[places - places[0]]
        columns, counts = np.empty(begin[-1], np.int32), np.empty(begin[-1], np.float32)

        def kernel(first: int, last: int) -> None:
            _count(
                places, terms, words, parts.indptr, parts.indices, parts.data, num_terms,  # noqa: B023
                num_columns, begin, first, last, columns, counts, lengths[block],  # noqa: B023
            )  # fmt: skip

        over_rows(block.stop - start, kernel)
        blocks.append(packed(begin, lengths[block], columns, counts))
        progress("count words", block.stop, N)
    indices, data = (np.concatenate(part) for part in zip(*blocks, strict=True))
    ends = np.append(0, np.cumsum(lengths)).astype(np.int32 if len(indices) < 2**31 else np.int64)
    found = sp.csr_matrix((data, indices, ends), shape=(N, num_columns))
    found.has_canonical_format = True
    return found


@njit(cache=True, nogil=True)
def _frequencies(offsets, words, p_offsets, p_columns, num_parts):  # type: ignore[no-untyped-def]  # pragma: no cover
    frequencies, seen_in = np.zeros(num_parts, np.int64), np.full(num_parts, -1, np.int64)
    for document in range(len(offsets) - 1):
        for place in range(offsets[document], offsets[document + 1]):
            word = words[place]
            if word != UNKNOWN:
                for p in range(p_offsets[word], p_offsets[word + 1]):
                    part = p_columns[p]
                    frequencies[part] += seen_in[part] != document
                    seen_in[part] = document
    return frequencies


@njit(cache=True, nogil=True)
def _count(  # type: ignore[no-untyped-def]  # pragma: no cover
    offsets, terms, words, p_offsets, p_columns, p_counts, num_terms, num_columns, room, first, last, columns, counts,
    lengths,
):  # fmt: skip
    """Write the terms of documents first, …, last - 1, ascending, and how often they occur, from `room` on."""
    times = np.zeros(num_columns, np.float32)
    for document in range(first, last):
        own = columns[room[document] : room[document + 1]]
        length = 0
        for place in range(offsets[document], offsets[document + 1]):
            for level in range(terms.shape[1]):
                term = terms[place, level]
                if term != UNKNOWN:
                    own[length] = term
                    length += times[term] == 0
                    times[term] += 1
            word = words[place]
            for p in range(p_offsets[word], p_offsets[word + 1]):
                part = num_terms + p_columns[p]
                own[length] = part
                length += times[part] == 0
                times[part] += p_counts[p]
        own[:length].sort()
        for j in range(length):
            counts[room[document] + j] = times[own[j]]
            times[own[j]] = 0
        lengths[document] = length
