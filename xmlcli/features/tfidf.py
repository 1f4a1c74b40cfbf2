"""Sparse features of documents: tf-idf of words, or given features weighted alike.

Words are runs of two or more letters, digits and underscores of the lower-cased text (`(?u)\\b\\w\\w+\\b`). Where texts
are short, the character n-grams of their words are terms beside them: a short text seldom has the very form of a word
that the training texts have. The result equals scikit-learn's TfidfVectorizer with the same options and a smoothed idf
(its tests say so) in less than half of the time: words become numbers as they are read, all else is arithmetic on
arrays of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.config.schema import Problem, build
from xmlcli.errors import ArtifactError, DatasetError
from xmlcli.features.char_ngrams import LONGEST, CharNgrams, count_char_ngrams
from xmlcli.features.term_counts import count_terms, document_frequencies
from xmlcli.features.word_table import EncodedTexts, encode_texts, words_of
from xmlcli.kernels.row_weights import weigh_into
from xmlcli.kernels.word_hash import UNKNOWN
from xmlcli.progress import Progress, silent

_FORMAT = 2
_READABLE = (1, 2)  # the first had no character n-grams
_WORDS_ONLY = {"ngram_max": 1, "max_features": None}  # formats 1 and 2 had settings for n-grams of words
_ENTRIES = 1 << 20
_MOST_IDF = 1e6  # far above ln N


@dataclass(frozen=True)
class FeatureConfig:
    """How text becomes features.

    Attributes:
        min_df: documents a term must occur in.
        sublinear_tf: 1 + ln(count) instead of the count.
        use_idf: weigh by ln((1 + N) / (1 + df)) + 1.
        char_ngrams: n of the words' character n-grams, which are terms too; None for words only.
        char_ngrams_below: training texts of that many words on average or more have no character n-grams.
    """

    min_df: int = 2
    sublinear_tf: bool = True
    use_idf: bool = True
    char_ngrams: int | None = None
    char_ngrams_below: int = 100


class TextFeatures:
    """A fitted vocabulary: turns texts into L2-normalised tf-idf rows.

    Attributes:
        config: how it was fitted.
        terms: words in alphabetical order; column f counts term f.
        char_ngrams: character n-grams in alphabetical order, whose columns follow; maybe none.
        idf: float32 (F,), ones where idf is off.
    """

    def __init__(
        self, config: FeatureConfig, terms: Sequence[str], idf: Floats, char_ngrams: Sequence[str] = ()
    ) -> None:
        self.config = config
        self.terms, self.char_ngrams = list(terms), list(char_ngrams)
        self.idf = idf
        self._ngrams = CharNgrams(self.char_ngrams) if char_ngrams else None

    @classmethod
    def fit(cls, texts: Sequence[str], config: FeatureConfig, *, progress: Progress = silent) -> TextFeatures:
        """Choose the terms of some training texts. Raises DatasetError where none is frequent enough."""
        return cls.fit_transform(texts, config, progress=progress)[0]

    @classmethod
    def fit_transform(
        cls, texts: Sequence[str], config: FeatureConfig, *, progress: Progress = silent
    ) -> tuple[TextFeatures, sp.csr_matrix]:
        """`fit`, and the features of the same texts without reading them again."""
        encoded = encode_texts(texts, progress)
        terms, word_terms = _frequent_words(encoded, config.min_df)
        ngrams: list[str] = []
        if config.char_ngrams and len(encoded.words) < config.char_ngrams_below * len(texts):
            names, ngram_counts = count_char_ngrams(encoded.vocabulary, config.char_ngrams)
            kept = np.flatnonzero(document_frequencies(encoded, ngram_counts) >= config.min_df)
            ngrams = [names[number] for number in kept.tolist()]
            word_terms = sp.hstack([word_terms, ngram_counts[:, kept]], format="csr")
        counts = count_terms(encoded, word_terms, progress)
        if not counts.shape[1]:
            raise DatasetError(
                "no features: the training texts hold no term frequent enough",
                expected=f"words of two or more letters in at least {config.min_df} of {len(texts):,} documents",
                remedy="lower min_df, or check that the texts are not empty",
            )
        idf = inverse_document_frequency(counts) if config.use_idf else np.ones(counts.shape[1], dtype=np.float32)
        features = cls(config, terms, idf, ngrams)
        return features, features._weigh(counts)

    def transform(self, texts: Sequence[str], *, progress: Progress = silent) -> sp.csr_matrix:
        """float32 CSR (N, F), rows of unit L2 norm; a text without known terms gives an empty row."""
        if len(texts) == 1:
            return self._transform_one(texts[0])
        encoded = encode_texts(texts, progress)
        columns = np.array([self._column_of.get(word, UNKNOWN) for word in encoded.vocabulary], np.int32)
        word_terms = _one_term_each(columns, len(self.terms))
        if self._ngrams is not None:
            word_terms = sp.hstack([word_terms, self._ngrams.count(encoded.vocabulary)], format="csr")
        return self._weigh(count_terms(encoded, word_terms, progress))

    @cached_property
    def _column_of(self) -> dict[str, int]:
        return {word: column for column, word in enumerate(self.terms)}

    def _transform_one(self, text: str) -> sp.csr_matrix:
        """`transform` of one text: the same bytes, without the machinery of many."""
        words, column_of = words_of(text), self._column_of.get
        occurrences = [column for word in words if (column := column_of(word, UNKNOWN)) >= 0]
        if self._ngrams is not None:
            occurrences += [len(self.terms) + number for word in words for number in self._ngrams.of_word(word)]
        columns, counts = np.unique(np.array(occurrences, np.int64), return_counts=True)
        data = counts.astype(np.float32)
        if self.config.sublinear_tf:
            data = np.log(data) + np.float32(1.0)
        data *= self.idf[columns]
        norm = np.sqrt(np.cumsum(data.astype(np.float64) ** 2)[-1]) if len(data) else 1.0
        row = ((data / norm).astype(np.float32), columns.astype(np.int32), np.array([0, len(data)], np.int32))
        return sp.csr_matrix(row, shape=(1, len(self.idf)))

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs, in JSON's own types."""
        config = asdict(self.config) | _WORDS_ONLY
        saved = {"config": config, "terms": self.terms, "char_ngrams": self.char_ngrams}
        return {"format": _FORMAT, **saved, "idf": self.idf.tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> TextFeatures:
        """The same features again.

        Raises:
            ArtifactError: not what `to_json` gives, or a vocabulary with n-grams of words.
        """
        try:
            options = _WORDS_ONLY | asdict(FeatureConfig()) | saved["config"]
            of_words = {name: options.pop(name) for name in _WORDS_ONLY}
            terms, ngrams, idf = saved["terms"], saved.get("char_ngrams", []), np.array(saved["idf"], np.float64)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError("a vocabulary of unknown form", found=f"{type(error).__name__} {error}") from error
        problems: list[Problem] = []
        config = build(FeatureConfig, options, problems)
        if config is None:
            raise ArtifactError("a vocabulary of unknown form", found="; ".join(map(" ".join, problems)))
        if of_words != _WORDS_ONLY:
            raise ArtifactError(
                "a vocabulary with n-grams of words, or cut to the most frequent terms, which is no longer read",
                expected=str(_WORDS_ONLY),
                found=str(of_words),
                remedy="prepare the dataset and train anew",
            )
        good = saved.get("format") in _READABLE and _are_texts(terms) and _are_texts(ngrams) and len(terms + ngrams)
        if not good or idf.shape != (len(terms + ngrams),) or not _fit_for_search(ngrams):
            expected = f"format {_FORMAT} with terms, ascending character n-grams of one length, and an idf of each"
            raise ArtifactError(
                "a vocabulary of unknown form", expected=expected, found=f"format {saved.get('format')}, {idf.shape}"
            )
        if not (idf.min() >= 0 and idf.max() <= _MOST_IDF):  # nor where one is NaN
            raise ArtifactError("a vocabulary of unknown form", expected=f"an idf from 0 to {_MOST_IDF:g}")
        return cls(config, terms, idf.astype(np.float32), ngrams)

    def _weigh(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Tf-idf of counts, in place."""
        if self.config.sublinear_tf:
            weights = np.log(np.arange(1, counts.data.max(initial=1) + 1, dtype=np.float32)) + np.float32(1.0)
            for block in _blocks(counts.nnz):
                counts.data[block] = weights[counts.data[block].astype(np.int32) - 1]
        weigh_into(counts.data, counts, self.idf)
        return counts


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is str for value in values)


def _fit_for_search(ngrams: Sequence[str]) -> bool:
    """Whether n-grams are all of one length that `CharNgrams` takes, and ascend."""
    lengths = {len(ngram) for ngram in ngrams}
    return lengths <= {2, 3, LONGEST} and len(lengths) <= 1 and all(a < b for a, b in pairwise(ngrams))


def inverse_document_frequency(X: sp.csr_matrix) -> Floats:
    """Smoothed idf of every column, float32 (F,): ln((1 + N) / (1 + df)) + 1."""
    frequency = np.zeros(X.shape[1], np.int64)
    for block in _blocks(X.nnz):
        frequency += np.bincount(X.indices[block][X.data[block] != 0], minlength=X.shape[1])
    return np.asarray(np.log((1.0 + X.shape[0]) / (1.0 + frequency)) + 1.0, dtype=np.float32)


def _blocks(num_entries: int) -> Iterator[slice]:
    """Yield slices of a matrix's entries, small beside all of them."""
    for start in range(0, num_entries, _ENTRIES):
        yield slice(start, start + _ENTRIES)


def _frequent_words(texts: EncodedTexts, min_df: int) -> tuple[list[str], sp.csr_matrix]:
    """Return the words in `min_df` texts or more, alphabetical, and the one that each known word is, CSR (W, F)."""
    num_words = len(texts.vocabulary)
    frequencies = document_frequencies(texts, sp.identity(num_words, np.float32, "csr"))
    kept = sorted(np.flatnonzero(frequencies >= min_df).tolist(), key=texts.vocabulary.__getitem__)
    columns = np.full(num_words, UNKNOWN, np.int32)
    columns[kept] = np.arange(len(kept))
    return [texts.vocabulary[word] for word in kept], _one_term_each(columns, len(kept))


def _one_term_each(columns: Ints, num_terms: int) -> sp.csr_matrix:
    """Return float32 CSR (W, num_terms) with a one for each word in its column, int32 (W,), or none for UNKNOWN."""
    known = columns != UNKNOWN
    indptr = np.append(0, np.cumsum(known)).astype(np.int32)
    return sp.csr_matrix((np.ones(indptr[-1], np.float32), columns[known], indptr), shape=(len(columns), num_terms))
