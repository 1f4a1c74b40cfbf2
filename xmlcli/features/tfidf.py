"""Sparse features of documents: tf-idf of words and word n-grams, or given features weighted alike.

Words are runs of two or more letters, digits and underscores of the lower-cased text (`(?u)\\b\\w\\w+\\b`); an n-gram
is n of them in a row. Where texts are short, the character n-grams of their words are terms beside them: a short text
seldom has the very form of a word that the training texts have. The result equals scikit-learn's TfidfVectorizer with
the same options and a smoothed idf (its tests say so) in less than half of the time: words become numbers as they are
read, all else is arithmetic on arrays of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.errors import ArtifactError, DatasetError
from xmlcli.features.char_ngrams import CharNgrams, count_char_ngrams
from xmlcli.features.term_counts import Numbers, count_terms, document_frequencies, part_frequencies
from xmlcli.features.terms import Codes, Places, encode, index_terms, words_of
from xmlcli.features.word_table import UNKNOWN
from xmlcli.kernels.row_weights import weigh_into
from xmlcli.progress import Progress, silent

_FORMAT = 2
_READABLE = (1, 2)  # the first had no character n-grams
_ENTRIES = 1 << 20


@dataclass(frozen=True)
class FeatureConfig:
    """How text becomes features.

    Attributes:
        ngram_max: longest n-gram, in words.
        min_df: documents a term must occur in.
        max_features: keep only so many terms, the most frequent ones; None keeps all.
        sublinear_tf: 1 + ln(count) in place of the count.
        use_idf: weigh by ln((1 + N) / (1 + df)) + 1.
        char_ngrams: n of the words' character n-grams, which are terms too; None for words alone.
        char_ngrams_below: training texts of that many words on average or more go by words alone.
    """

    ngram_max: int = 1
    min_df: int = 2
    max_features: int | None = None
    sublinear_tf: bool = True
    use_idf: bool = True
    char_ngrams: int | None = None
    char_ngrams_below: int = 100


class TextFeatures:
    """A fitted vocabulary: turns texts into L2-normalised tf-idf rows.

    Attributes:
        config: how it was fitted.
        terms: words and n-grams of words in alphabetical order; column f counts term f.
        char_ngrams: character n-grams in alphabetical order, whose columns follow; maybe none.
        idf: float32 (F,), ones where idf is off.
    """

    def __init__(
        self, config: FeatureConfig, terms: Sequence[str], idf: npt.NDArray[np.float32], char_ngrams: Sequence[str] = ()
    ) -> None:
        self.config = config
        self.terms, self.char_ngrams = list(terms), list(char_ngrams)
        self.idf = idf
        self._words, self._levels = index_terms(self.terms)
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
        places = encode(texts, progress)
        terms, numbers = _choose_terms(places, config)
        ngrams: list[str] = []
        parts = sp.csr_matrix((len(places.vocabulary), 0), dtype=np.float32)
        if config.char_ngrams and len(places.words) < config.char_ngrams_below * len(texts):
            names, parts = count_char_ngrams(places.vocabulary, config.char_ngrams)
            kept = np.flatnonzero(part_frequencies(places.offsets, places.words, parts) >= config.min_df)
            ngrams, parts = [names[number] for number in kept.tolist()], parts[:, kept]
        counts = count_terms(places.offsets, numbers, len(terms), places.words, parts, progress)
        if config.max_features is not None and counts.shape[1] > config.max_features:
            kept = _most_frequent(counts, config.max_features)
            counts, all_names = counts[:, kept].sorted_indices(), terms + ngrams
            ngrams = [all_names[i] for i in kept.tolist() if i >= len(terms)]
            terms = [all_names[i] for i in kept.tolist() if i < len(terms)]
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
        if len(texts) == 1 and len(self._levels) == 1:
            return self._one(texts[0])
        places = encode(texts, progress)
        codes = np.array([self._codes.get(word, UNKNOWN) for word in places.vocabulary], np.int64)
        own = codes[places.words]
        begun = self._levels[0].lookup(np.zeros_like(codes), codes)[places.words]  # n-grams that begin at each place
        numbers = np.empty((len(own), len(self._levels)), np.int32)
        for length, level in enumerate(self._levels):
            begun = level.lookup(begun, places.shifted(own, length)) if length else begun
            numbers[:, length] = np.append(level.column, UNKNOWN)[begun]
        parts = sp.csr_matrix((len(places.vocabulary), 0), dtype=np.float32)
        if self._ngrams is not None:
            parts = self._ngrams.count(places.vocabulary)
        return self._weigh(count_terms(places.offsets, numbers, len(self.terms), places.words, parts, progress))

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self._words)}

    def _one(self, text: str) -> sp.csr_matrix:
        """`transform` of one text where terms are single words: the same bytes, without the machinery of many."""
        words, code_of = words_of(text), self._codes.get
        found = [code for word in words if (code := code_of(word, UNKNOWN)) >= 0]  # a word's code is its column
        if self._ngrams is not None:
            found += [len(self.terms) + number for word in words for number in self._ngrams.of_word(word)]
        columns, counts = np.unique(np.array(found, np.int64), return_counts=True)
        data = counts.astype(np.float32)
        if self.config.sublinear_tf:
            data = np.log(data) + np.float32(1.0)
        data *= self.idf[columns]
        norm = np.sqrt(np.cumsum(data.astype(np.float64) ** 2)[-1]) if len(data) else 1.0
        row = ((data / norm).astype(np.float32), columns.astype(np.int32), np.array([0, len(data)], np.int32))
        return sp.csr_matrix(row, shape=(1, len(self.idf)))

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs, in JSON's own types."""
        saved = {"config": asdict(self.config), "terms": self.terms, "char_ngrams": self.char_ngrams}
        return {"format": _FORMAT, **saved, "idf": self.idf.tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> TextFeatures:
        """The same features again.

        Raises:
            ArtifactError: not what `to_json` gives.
        """
        try:
            config, terms, idf = FeatureConfig(**saved["config"]), saved["terms"], np.array(saved["idf"], np.float32)
            ngrams = saved.get("char_ngrams", [])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError("a vocabulary of unknown form", found=str(error)) from error
        num_terms, lengths = len(terms) + len(ngrams), {len(ngram) for ngram in ngrams}
        if saved.get("format") not in _READABLE or not num_terms or idf.shape != (num_terms,) or len(lengths) > 1:
            expected = f"format {_FORMAT} with terms, character n-grams of one length, and an idf of each"
            raise ArtifactError(
                "a vocabulary of unknown form", expected=expected, found=f"format {saved.get('format')}, {idf.shape}"
            )
        return cls(config, terms, idf, ngrams)

    def _weigh(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Tf-idf of counts, in place."""
        if self.config.sublinear_tf:
            weights = np.log(np.arange(1, counts.data.max(initial=1) + 1, dtype=np.float32)) + np.float32(1.0)
            for block in _blocks(counts.nnz):
                counts.data[block] = weights[counts.data[block].astype(np.int32) - 1]
        weigh_into(counts.data, counts, self.idf)
        return counts


def inverse_document_frequency(X: sp.csr_matrix) -> npt.NDArray[np.float32]:
    """Smoothed idf of every column, float32 (F,): ln((1 + N) / (1 + df)) + 1."""
    frequency = np.zeros(X.shape[1], np.int64)
    for block in _blocks(X.nnz):
        frequency += np.bincount(X.indices[block][X.data[block] != 0], minlength=X.shape[1])
    return np.asarray(np.log((1.0 + X.shape[0]) / (1.0 + frequency)) + 1.0, dtype=np.float32)


def _blocks(num_entries: int) -> Iterator[slice]:
    """Yield slices of a matrix's entries, small beside all of them."""
    for start in range(0, num_entries, _ENTRIES):
        yield slice(start, start + _ENTRIES)


def _choose_terms(places: Places, config: FeatureConfig) -> tuple[list[str], Numbers]:
    """Terms frequent enough, alphabetical, and the number of the one of each length that begins at each place or
    UNKNOWN, int32 (T, ngram_max)."""
    vocabulary = names = places.vocabulary
    terms: list[str] = []
    numbers = np.full((len(places.words), config.ngram_max), UNKNOWN, np.int32)
    words = code = places.words
    keys = np.arange(len(vocabulary))
    for length in range(1, config.ngram_max + 1):
        if length > 1:
            code, keys = _extend(code, places.shifted(words, length - 1), len(vocabulary))
        frequencies = document_frequencies(places.offsets, code, len(keys))
        kept = np.flatnonzero(frequencies >= config.min_df)
        if length == 1:
            names = [vocabulary[word] for word in kept.tolist()]
        else:
            pairs = zip(*(part.tolist() for part in np.divmod(keys[kept], len(vocabulary))), strict=True)
            names = [f"{names[head]} {vocabulary[word]}" for head, word in pairs]
        # an n-gram rarer than min_df begins none that is not, so it need not be extended
        renumber = np.full(len(keys) + 1, UNKNOWN, np.int32)
        renumber[kept] = np.arange(len(kept))
        code = renumber[code]
        numbers[:, length - 1] = np.where(code == UNKNOWN, UNKNOWN, len(terms) + code)
        terms += names
        if length == 1:
            words, vocabulary = code, names
    order = sorted(range(len(terms)), key=terms.__getitem__)
    place = np.full(len(terms) + 1, UNKNOWN, np.int32)
    place[order] = np.arange(len(terms))
    return [terms[index] for index in order], place[numbers]


def _most_frequent(counts: sp.csr_matrix, number: int) -> Codes:
    """Return the columns of the largest sums, ascending; of equal ones the first."""
    total = np.bincount(counts.indices, weights=counts.data, minlength=counts.shape[1])
    return np.sort(np.argsort(-total, kind="stable")[:number])


def _extend(code: Numbers, last: Numbers, num_words: int) -> tuple[Numbers, Codes]:
    """n-grams made of an n-1-gram and the word behind it: the code of each, -1 where one of them is not known, and
    the key of each code, code of the n-1-gram times `num_words` plus code of the word."""
    longer = np.full(len(code), UNKNOWN, np.int32)
    possible = np.flatnonzero((code >= 0) & (last >= 0))
    keys, longer[possible] = np.unique(
        code[possible].astype(np.int64) * num_words + last[possible], return_inverse=True
    )
    return longer, keys
