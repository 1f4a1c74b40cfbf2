"""The names of labels as stems of the words that documents have.

A stem is a word cut to six letters, so that one form of a word finds another. A name is cut in two where ` -- ` or a
bracket begins: the head says what the label is of (*Painting*), the rest narrows it down (*-- History*, *(game)*).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from xmlcli.arrays import Doubles, Ints
from xmlcli.features.tfidf import TextFeatures
from xmlcli.features.word_table import encode_texts, words_of
from xmlcli.kernels.csr import unsigned
from xmlcli.kernels.name_scores import NameStems
from xmlcli.progress import silent

_LETTERS = 6
_LEAST_SHARE = 1e-9  # of documents: far fewer than one
_REST = re.compile(r"\s--\s|[(\[]")


def name_stems(features: TextFeatures, names: Sequence[str]) -> NameStems | None:
    """Return the stems of R names, or None where no word of a document has one of them.

    A stem that no feature has counts as the rarest.
    """
    terms, number = features.terms, dict[str, int]()
    stem_of = np.array([number.setdefault(term[:_LETTERS], len(number)) for term in terms], np.int32)
    S, num_ngrams = len(number), len(features.char_ngrams)
    rarity = _rarity(stem_of, features.idf[: len(terms)].astype(np.float64), S)
    parts = [part for name in names for part in _parts(name)]
    rows, stems = _stems(parts, number)
    if not (stems < S).any():
        return None
    values = np.append(rarity, rarity.max(initial=0))[np.minimum(stems, S)]
    known = stems < S
    total, counts = np.bincount(rows, values, len(parts)), np.bincount(rows, minlength=len(parts))
    bounds = np.append(0, np.cumsum(np.bincount(rows[known], minlength=len(parts))))
    return NameStems(
        stem_of=unsigned(np.append(stem_of, np.full(num_ngrams, S, np.int32))),
        rarity=rarity.astype(np.float32),
        offsets=np.stack([bounds[:-1:2], bounds[1::2], bounds[2::2]], axis=1).astype(np.int32),
        stems=unsigned(stems[known]),
        sums=np.stack([total, counts], axis=1).astype(np.float32).reshape(-1, 4),
    )


def _rarity(stem_of: Ints, idf: Doubles, num_stems: int) -> Doubles:
    """Return 1 - ln(n / N) of each stem, float64 (S,): n, the sum over its words of the documents that have them."""
    share = np.bincount(stem_of, np.exp(1 - idf), num_stems)
    return np.asarray(1 - np.log(np.clip(share, _LEAST_SHARE, 1)))


def _parts(name: str) -> Iterator[str]:
    """Give the head and the rest of a name; where the head has no word, all is head."""
    found = _REST.search(name)
    at = len(name) if found is None or not words_of(name[: found.start()]) else found.start()
    yield name[:at]
    yield name[at:]


def _stems(parts: Sequence[str], number: dict[str, int]) -> tuple[Ints, Ints]:
    """Return the rows among the parts and the numbers of their stems, each stem once a part, ordered by both.

    number: stem → number; stems without one get the next.
    """
    encoded = encode_texts(parts, silent)
    stem_of = [number.setdefault(word[:_LETTERS], len(number)) for word in encoded.vocabulary]
    rows = np.repeat(np.arange(len(parts)), np.diff(encoded.offsets))
    keys = np.unique(rows * len(number) + np.array(stem_of, np.int64)[encoded.words])
    return (keys // len(number)).astype(np.int32), (keys % len(number)).astype(np.int32)
