"""How often documents have terms, and how many documents have each."""

from __future__ import annotations

import numpy as np

from xmlcli.arrays import Ints, Longs
from xmlcli.kernels.compiled import kernel
from xmlcli.kernels.csr import CsrRows, RowBuffer


@kernel
def count_documents(offsets: Longs, words: Ints, terms: CsrRows) -> Longs:
    """Return how many documents each term occurs in, int64 (F,).

    offsets: int64 (N + 1,), where each document's words begin; words: int32 (T,); terms: (W, F), those of each word.
    """
    indptr, indices, _, (_, num_terms) = terms
    frequencies, seen_in = np.zeros(num_terms, np.int64), np.full(num_terms, -1, np.int64)
    for document in range(len(offsets) - 1):
        for at in range(offsets[document], offsets[document + 1]):
            for p in range(indptr[words[at]], indptr[words[at] + 1]):
                term = indices[p]
                frequencies[term] += seen_in[term] != document
                seen_in[term] = document
    return frequencies


@kernel
def write_counts(offsets: Longs, words: Ints, terms: CsrRows, first: int, last: int, out: RowBuffer) -> None:
    """Write the terms of documents first, …, last - 1, ascending, and how often they occur.

    offsets, words, terms: as `count_documents` takes them, the entries of `terms` how often a word has a term.
    """
    indptr, indices, data, (_, num_terms) = terms
    begin, lengths, columns, values = out
    times = np.zeros(num_terms, np.float32)
    for document in range(first, last):
        own = columns[begin[document] : begin[document + 1]]
        length = 0
        for at in range(offsets[document], offsets[document + 1]):
            for p in range(indptr[words[at]], indptr[words[at] + 1]):
                term = indices[p]
                own[length] = term
                length += times[term] == 0
                times[term] += data[p]
        own[:length].sort()
        for j in range(length):
            values[begin[document] + j] = times[own[j]]
            times[own[j]] = 0
        lengths[document] = length
