"""How often documents have terms, on all threads: from their words to sorted sparse rows."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Longs
from xmlcli.features.word_table import EncodedTexts
from xmlcli.kernels.csr import CsrRows, RowBuffer, packed
from xmlcli.kernels.term_counts import count_documents, write_counts
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress

_BLOCK = 1 << 13  # documents


def document_frequencies(texts: EncodedTexts, terms: sp.csr_matrix) -> Longs:
    """Return how many documents each term occurs in, int64 (F,); terms: float32 CSR (W, F), those of each word."""
    return count_documents(texts.offsets, texts.words, CsrRows.of(terms))


def count_terms(texts: EncodedTexts, terms: sp.csr_matrix, progress: Progress) -> sp.csr_matrix:
    """Return how often documents have each term, float32 CSR (N, F), sorted.

    terms: float32 CSR (W, F), how often each word of the texts has them.
    """
    N, most_terms, word_terms = len(texts.offsets) - 1, np.diff(terms.indptr), CsrRows.of(terms)
    lengths = [np.zeros(1, np.int64)]
    blocks = [(np.zeros(0, np.int32), np.zeros(0, np.float32))]
    for start in range(0, N, _BLOCK):
        offsets = texts.offsets[start : start + _BLOCK + 1]
        begin = np.append(0, np.cumsum(most_terms[texts.words[offsets[0] : offsets[-1]]]))[offsets - offsets[0]]
        out = RowBuffer.of(begin)

        def kernel(first: int, last: int) -> None:
            write_counts(offsets, texts.words, word_terms, first, last, out)  # noqa: B023

        over_rows(len(out.counts), kernel)
        lengths.append(out.counts)
        blocks.append(packed(out))
        progress("count words", start + len(out.counts), N)
    indices, data = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
    indptr = np.cumsum(np.concatenate(lengths)).astype(np.int32 if len(indices) < 2**31 else np.int64)
    counts = sp.csr_matrix((data, indices, indptr), shape=(N, terms.shape[1]))
    counts.has_canonical_format = True
    return counts
