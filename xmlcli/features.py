"""Sparse features of documents: tf-idf of words and word n-grams, or given features weighted alike.

Words are runs of two or more letters, digits and underscores of the lower-cased text (`(?u)\\b\\w\\w+\\b`); an n-gram
is n of them in a row. The result equals scikit-learn's TfidfVectorizer with the same options and a smoothed idf
(its tests say so) in about half of the time: words become numbers as they are read, all else is arithmetic on arrays
of numbers.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.errors import ArtifactError, DatasetError
from xmlcli.progress import Progress, silent

Codes = npt.NDArray[np.int64]

_WORD = re.compile(r"(?u)\b\w\w+\b")
_ASCII_TO_WORDS = str.maketrans({chr(i): " " for i in range(128) if not (chr(i).isalnum() or chr(i) == "_")})
_SHORT_WORDS = "_0123456789abcdefghijklmnopqrstuvwxyz"  # one-letter words get the first codes, to be dropped by code
_FIRST_CODE = len(_SHORT_WORDS)
_UNKNOWN = -1
_TEXTS_A_REPORT = 10_000
_FORMAT = 1


@dataclass(frozen=True)
class FeatureConfig:
    """How text becomes features.

    Attributes:
        ngram_max: longest n-gram, in words.
        min_df: documents a term must occur in.
        max_features: keep only so many terms, the most frequent ones; None keeps all.
        sublinear_tf: 1 + ln(count) in place of the count.
        use_idf: weigh by ln((1 + N) / (1 + df)) + 1.
    """

    ngram_max: int = 1
    min_df: int = 2
    max_features: int | None = None
    sublinear_tf: bool = True
    use_idf: bool = True


class TextFeatures:
    """A fitted vocabulary: turns texts into L2-normalised tf-idf rows.

    Attributes:
        config: how it was fitted.
        terms: F terms in alphabetical order; column f counts term f.
        idf: float32 (F,), ones where idf is off.
    """

    def __init__(self, config: FeatureConfig, terms: Sequence[str], idf: npt.NDArray[np.float32]) -> None:
        self.config = config
        self.terms = list(terms)
        self.idf = idf
        self._codes, self._levels = _index_terms(self.terms)

    @classmethod
    def fit(cls, texts: Sequence[str], config: FeatureConfig, *, progress: Progress = silent) -> TextFeatures:
        """Choose the terms of some training texts. Raises DatasetError where none is frequent enough."""
        return cls.fit_transform(texts, config, progress=progress)[0]

    @classmethod
    def fit_transform(
        cls, texts: Sequence[str], config: FeatureConfig, *, progress: Progress = silent
    ) -> tuple[TextFeatures, sp.csr_matrix]:
        """`fit`, and the features of the same texts without reading them again."""
        codes: defaultdict[str, int] = defaultdict(None, {word: code for code, word in enumerate(_SHORT_WORDS)})
        codes.default_factory = codes.__len__
        words, documents = _encode(texts, codes, progress)
        terms, counts = _count_terms(words, documents, list(codes), len(texts), config)
        if not terms:
            raise DatasetError(
                "no features: the training texts hold no term frequent enough",
                expected=f"words of two or more letters in at least {config.min_df} of {len(texts):,} documents",
                remedy="lower min_df, or check that the texts are not empty",
            )
        idf = inverse_document_frequency(counts) if config.use_idf else np.ones(len(terms), dtype=np.float32)
        features = cls(config, terms, idf)
        return features, features._weigh(counts)

    def transform(self, texts: Sequence[str], *, progress: Progress = silent) -> sp.csr_matrix:
        """float32 CSR (N, F), rows of unit L2 norm; a text without known terms gives an empty row."""
        if len(texts) == 1 and len(self._levels) == 1:
            return self._one(texts[0])
        words, documents = _encode(texts, self._codes, progress)
        code = np.zeros(len(words), dtype=np.int64)  # of the n-gram that begins at each place, _UNKNOWN for none
        counts = sp.csr_matrix((len(texts), len(self.terms)), dtype=np.float32)
        for length, level in enumerate(self._levels):
            code = level.lookup(code, _shifted(words, documents, length))
            column = np.append(level.column, _UNKNOWN)[code]
            counts = counts + _count(documents, column, counts.shape)
        return self._weigh(counts)

    def _one(self, text: str) -> sp.csr_matrix:
        """`transform` of one text where terms are single words: the same bytes, without the machinery of many."""
        level, code_of = self._levels[0], self._codes.get
        codes = np.array([c for word in _words(text) if (c := code_of(word, _UNKNOWN)) >= _FIRST_CODE], np.int64)
        codes -= _FIRST_CODE
        columns, counts = np.unique(level.column[level.lookup(np.zeros_like(codes), codes)], return_counts=True)
        data = counts.astype(np.float32)
        if self.config.sublinear_tf:
            data = np.log(data) + np.float32(1.0)
        data *= self.idf[columns]
        norm = np.sqrt(np.cumsum(data.astype(np.float64) ** 2)[-1]) if len(data) else 1.0
        row = ((data / norm).astype(np.float32), columns.astype(np.int32), np.array([0, len(data)], np.int32))
        return sp.csr_matrix(row, shape=(1, len(self.terms)))

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs, in JSON's own types."""
        return {"format": _FORMAT, "config": asdict(self.config), "terms": self.terms, "idf": self.idf.tolist()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> TextFeatures:
        """The same features again.

        Raises:
            ArtifactError: not what `to_json` gives.
        """
        try:
            config, terms, idf = FeatureConfig(**saved["config"]), saved["terms"], np.array(saved["idf"], np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError("a vocabulary of unknown form", found=str(error)) from error
        if saved.get("format") != _FORMAT or not terms or idf.shape != (len(terms),):
            expected = f"format {_FORMAT} with terms and one idf each"
            raise ArtifactError(
                "a vocabulary of unknown form", expected=expected, found=f"format {saved.get('format')}, {idf.shape}"
            )
        return cls(config, terms, idf)

    def _weigh(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Tf-idf of counts, in place."""
        if self.config.sublinear_tf:
            counts.data = np.log(counts.data) + np.float32(1.0)
        return weigh_rows(counts, self.idf)


def inverse_document_frequency(X: sp.csr_matrix) -> npt.NDArray[np.float32]:
    """Smoothed idf of every column, float32 (F,): ln((1 + N) / (1 + df)) + 1."""
    frequency = np.bincount(X.indices[X.data != 0], minlength=X.shape[1])
    return np.asarray(np.log((1.0 + X.shape[0]) / (1.0 + frequency)) + 1.0, dtype=np.float32)


def weigh_rows(X: sp.csr_matrix, idf: npt.NDArray[np.float32] | None) -> sp.csr_matrix:
    """Given features, weighted by idf unless that is None, rows scaled to unit L2 norm; an empty row stays empty.

    Returns:
        float32 CSR of the shape of `X`, a new matrix.
    """
    data = X.data.astype(np.float32) if idf is None else X.data.astype(np.float32) * idf[X.indices]
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    norm = np.sqrt(np.bincount(rows, weights=data.astype(np.float64) ** 2, minlength=X.shape[0]))
    norm[norm == 0.0] = 1.0
    scaled = (data / norm[rows]).astype(np.float32)
    return sp.csr_matrix((scaled, X.indices.copy(), X.indptr.copy()), shape=X.shape)


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length that are terms or begin longer ones.

    Attributes:
        keys: int64, sorted: code of the n-gram without its last word, times W, plus the code of that word.
        column: int64, same length: column of the term, or -1.
        num_words: W.
    """

    keys: Codes
    column: Codes
    num_words: int

    def lookup(self, prefix: Codes, word: Codes) -> Codes:
        """Code of each n-gram, its place in `keys`, or -1."""
        possible = np.flatnonzero((prefix >= 0) & (word >= 0))
        wanted = prefix[possible] * self.num_words + word[possible]
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        code = np.full(len(word), _UNKNOWN, dtype=np.int64)
        code[possible] = np.where(self.keys[place] == wanted, place, _UNKNOWN)
        return code


class _KnownWords(dict[str, int]):
    """Codes of words; any other word has the code -1."""

    def __missing__(self, word: str) -> int:
        return _UNKNOWN


def _words(text: str) -> list[str]:
    """The words of a text in order, of an ASCII text those of one letter too."""
    lowered = text.lower()
    return lowered.translate(_ASCII_TO_WORDS).split() if lowered.isascii() else _WORD.findall(lowered)


def _encode(texts: Sequence[str], codes: Mapping[str, int], progress: Progress) -> tuple[Codes, Codes]:
    """Words of all texts as codes less `_FIRST_CODE` (unknown: -1), and the text each stands in; int64 (T,) both."""
    flat = array("i")
    lengths = array("q")
    code_of = codes.__getitem__
    for number, text in enumerate(texts, start=1):
        words = _words(text)
        flat.extend(map(code_of, words))
        lengths.append(len(words))
        if number % _TEXTS_A_REPORT == 0 or number == len(texts):
            progress("read words", number, len(texts))
    code = np.frombuffer(flat, dtype=np.intc).astype(np.int64)
    document = np.repeat(np.arange(len(lengths)), np.frombuffer(lengths, dtype=np.int64))
    long = (code >= _FIRST_CODE) | (code == _UNKNOWN)
    code = code[long]
    return np.where(code == _UNKNOWN, _UNKNOWN, code - _FIRST_CODE), document[long]


def _count_terms(
    words: Codes, documents: Codes, vocabulary: list[str], num_documents: int, config: FeatureConfig
) -> tuple[list[str], sp.csr_matrix]:
    """Terms frequent enough, alphabetical, and their counts, float32 CSR (N, F)."""
    vocabulary = names = vocabulary[_FIRST_CODE:]
    terms: list[str] = []
    counts: list[sp.csr_matrix] = []
    code, keys = words, np.arange(len(vocabulary))
    for length in range(1, config.ngram_max + 1):
        if length > 1:
            code, keys = _extend(code, _shifted(words, documents, length - 1), len(vocabulary))
        level = _count(documents, code, (num_documents, len(keys)))
        kept = np.flatnonzero(np.bincount(level.indices, minlength=len(keys)) >= config.min_df)
        if length == 1:
            names = [vocabulary[word] for word in kept.tolist()]
        else:
            pairs = zip(*(part.tolist() for part in np.divmod(keys[kept], len(vocabulary))), strict=True)
            names = [f"{names[head]} {vocabulary[word]}" for head, word in pairs]
        terms += names
        counts.append(level[:, kept])
        # an n-gram rarer than min_df begins none that is not, so it need not be extended
        renumber = np.full(len(keys) + 1, _UNKNOWN, dtype=np.int64)
        renumber[kept] = np.arange(len(kept))
        code = renumber[code]
        if length == 1:
            words, vocabulary = code, names
    X = sp.hstack(counts, format="csr", dtype=np.float32)
    order = np.array(sorted(range(len(terms)), key=terms.__getitem__), dtype=np.int64)
    if config.max_features is not None and len(order) > config.max_features:
        total = np.bincount(X.indices, weights=X.data, minlength=len(terms))
        most_frequent = np.argsort(-total[order], kind="stable")[: config.max_features]
        order = order[np.sort(most_frequent)]
    X = X[:, order].tocsr()
    X.sort_indices()
    return [terms[index] for index in order.tolist()], X


def _extend(code: Codes, last: Codes, num_words: int) -> tuple[Codes, Codes]:
    """n-grams made of an n-1-gram and the word behind it: the code of each, -1 where one of them is not known, and
    the key of each code, code of the n-1-gram times `num_words` plus code of the word."""
    longer = np.full(len(code), _UNKNOWN, dtype=np.int64)
    possible = np.flatnonzero((code >= 0) & (last >= 0))
    keys, longer[possible] = np.unique(code[possible] * num_words + last[possible], return_inverse=True)
    return longer, keys


def _shifted(words: Codes, documents: Codes, distance: int) -> Codes:
    """The word `distance` places on in the same document, -1 where there is none."""
    shifted = np.full(len(words), _UNKNOWN, dtype=np.int64)
    same = documents[distance:] == documents[: len(documents) - distance]
    shifted[: len(words) - distance][same] = words[distance:][same]
    return shifted


def _count(rows: Codes, columns: Codes, shape: tuple[int, int]) -> sp.csr_matrix:
    """float32 CSR, sorted: how often each pair occurs, `rows` ascending; pairs of a column below 0 are left out."""
    present = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[present], minlength=shape[0]))])
    ones = np.ones(int(indptr[-1]), dtype=np.float32)
    counts = sp.csr_matrix((ones, columns[present].astype(np.int32), indptr), shape=shape)
    counts.sum_duplicates()
    return counts


def _index_terms(terms: list[str]) -> tuple[_KnownWords, list[_Level]]:
    """Codes of all words of the terms, and the levels that find the terms."""
    if not any(" " in term for term in terms):  # in alphabetical order, so a word's code is its column
        column = np.arange(len(terms), dtype=np.int64)
        known = _KnownWords(zip([*_SHORT_WORDS, *terms], range(_FIRST_CODE + len(terms)), strict=True))
        return known, [_Level(column, column, len(terms))]
    parts = [term.split(" ") for term in terms]
    words = sorted({word for term in parts for word in term})
    codes = _KnownWords({word: code for code, word in enumerate([*_SHORT_WORDS, *words])})
    lengths = np.array([len(term) for term in parts], dtype=np.int64)
    levels = []
    prefix = np.zeros(len(terms), dtype=np.int64)
    for length in range(1, int(lengths.max(initial=1)) + 1):
        long = np.flatnonzero(lengths >= length)
        last = np.array([codes[parts[index][length - 1]] - _FIRST_CODE for index in long.tolist()], dtype=np.int64)
        keys, prefix[long] = np.unique(prefix[long] * len(words) + last, return_inverse=True)
        column = np.full(len(keys), _UNKNOWN, dtype=np.int64)
        ends = lengths[long] == length
        column[prefix[long][ends]] = long[ends]
        levels.append(_Level(keys, column, len(words)))
    return codes, levels
