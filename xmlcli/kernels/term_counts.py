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
    frequencies, seen_in = np.zeros(terms.shape[1], np.int64), np.full(terms.shape[1], -1, np.int64)
    for document in range(len(offsets) - 1):
        for at in range(offsets[document], offsets[document + 1]):
            for p in range(terms.indptr[words[at]], terms.indptr[words[at] + 1]):
                term = terms.indices[p]
                frequencies[term] += seen_in[term] != document
                seen_in[term] = document
    return frequencies


@kernel
def write_counts(offsets: Longs, words: Ints, terms: CsrRows, first: int, last: int, out: RowBuffer) -> None:
    """Write the terms of documents first, …, last - 1, ascending, and how often they occur.

    offsets, words, terms: as `count_documents` takes them, the entries of `terms` how often a word has a term.
    """
    times = np.zeros(terms.shape[1], np.float32)
    for document in range(first, last):
        own = out.columns[out.begin[document] : out.begin[document + 1]]
        length = 0
        for at in range(offsets[document], offsets[document + 1]):
            for p in range(terms.indptr[words[at]], terms.indptr[words[at] + 1]):
                term = terms.indices[p]
                own[length] = term
                length += times[term] == 0
                times[term] += terms.data[p]
        own[:length].sort()
        for j in range(length):
            out.values[out.begin[document] + j] = times[own[j]]
            times[own[j]] = 0
        out.counts[document] = length
