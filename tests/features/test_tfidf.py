"""Text features against scikit-learn's."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from support.small_model import texts_and_labels

from xmlcli.errors import ArtifactError, DatasetError
from xmlcli.features import tfidf
from xmlcli.features.tfidf import FeatureConfig, TextFeatures, inverse_document_frequency
from xmlcli.kernels.row_weights import weigh_rows

TEXTS = [
    "The quick brown fox, the QUICK brown dog",
    "A fox's den — naïve “quick” brown İstanbul x_1 22",
    "",
    "a b c quick",
    "brown fox brown fox brown fox",
    "Ångström ångström ½ fox\x1cden ǅ ߂߃",
]


def vectorizer(config: FeatureConfig) -> TfidfVectorizer:
    return TfidfVectorizer(
        ngram_range=(1, config.ngram_max),
        min_df=config.min_df,
        max_features=config.max_features,
        sublinear_tf=config.sublinear_tf,
        use_idf=config.use_idf,
        dtype=np.float32,
    )


def assert_same(texts: list[str], others: list[str], config: FeatureConfig) -> None:
    reference = vectorizer(config)
    try:
        expected = reference.fit_transform(texts)
    except ValueError:
        with pytest.raises(DatasetError):
            TextFeatures.fit(texts, config)
        return
    features, X = TextFeatures.fit_transform(texts, config)
    assert features.terms == reference.get_feature_names_out().tolist()
    assert X.dtype == np.float32
    assert X.has_sorted_indices
    np.testing.assert_allclose(X.toarray(), expected.toarray(), atol=1e-6)
    np.testing.assert_array_equal(features.transform(texts).toarray(), X.toarray())
    np.testing.assert_allclose(features.transform(others).toarray(), reference.transform(others).toarray(), atol=1e-6)


@pytest.mark.parametrize("ngram_max", [1, 2, 3])
@pytest.mark.parametrize("min_df", [1, 2])
@pytest.mark.parametrize(("sublinear_tf", "use_idf"), [(True, True), (False, True), (True, False)])
def test_features_equal_scikit_learn(ngram_max: int, min_df: int, sublinear_tf: bool, use_idf: bool) -> None:
    config = FeatureConfig(ngram_max=ngram_max, min_df=min_df, sublinear_tf=sublinear_tf, use_idf=use_idf)
    assert_same(TEXTS, ["brown fox unknown quick x brown dog", "", "UNKNOWN"], config)


words = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "x", "É", "éa", "9", "1_"]), max_size=12)
sentences = words.map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(sentences | st.text(max_size=15), min_size=1, max_size=6),
    others=st.lists(sentences, max_size=3),
    ngram_max=st.integers(1, 3),
    min_df=st.integers(1, 2),
)
def test_features_of_random_texts_equal_scikit_learn(
    texts: list[str], others: list[str], ngram_max: int, min_df: int
) -> None:
    assert_same(texts, [*others, ""], FeatureConfig(ngram_max=ngram_max, min_df=min_df))


def with_char_ngrams(config: FeatureConfig) -> TfidfVectorizer:
    """scikit-learn's features of words and of their character n-grams, a `#` before each of these."""
    words = CountVectorizer().build_analyzer()
    ngrams = CountVectorizer(analyzer="char_wb", ngram_range=(config.char_ngrams, config.char_ngrams)).build_analyzer()

    def analyzer(text: str) -> list[str]:
        found = words(text)
        return found + [f"#{ngram}" for word in found for ngram in ngrams(word)]

    return TfidfVectorizer(
        analyzer=analyzer,
        min_df=config.min_df,
        max_features=config.max_features,
        sublinear_tf=config.sublinear_tf,
        use_idf=config.use_idf,
        dtype=np.float32,
    )


@settings(max_examples=80, deadline=None)
@given(
    texts=st.lists(sentences | st.text(max_size=15), min_size=1, max_size=6),
    others=st.lists(sentences | st.text(max_size=15), max_size=3),
    n=st.integers(2, 4),
    min_df=st.integers(1, 2),
    plain=st.booleans(),
)
def test_character_n_grams_equal_scikit_learn(
    texts: list[str], others: list[str], n: int, min_df: int, plain: bool
) -> None:
    config = FeatureConfig(char_ngrams=n, min_df=min_df, sublinear_tf=not plain, use_idf=not plain)
    reference = with_char_ngrams(config)
    try:
        expected = reference.fit_transform(texts)
    except ValueError:
        with pytest.raises(DatasetError, match="no term frequent enough"):
            TextFeatures.fit(texts, config)
        return
    features, X = TextFeatures.fit_transform(texts, config)
    names = [*features.terms, *(f"#{ngram}" for ngram in features.char_ngrams)]
    order = [reference.vocabulary_[name] for name in names]
    assert len(order) == len(reference.vocabulary_)
    assert features.terms == sorted(features.terms)
    assert features.char_ngrams == sorted(features.char_ngrams)
    assert X.has_sorted_indices
    np.testing.assert_allclose(X.toarray(), expected.toarray()[:, order], atol=1e-6)
    np.testing.assert_array_equal(features.transform(texts).toarray(), X.toarray())
    again = TextFeatures.from_json(json.loads(json.dumps(features.to_json())))
    for some in (others, ["", *others]):
        if some:
            found = again.transform(some)
            assert found.has_sorted_indices
            np.testing.assert_allclose(found.toarray(), reference.transform(some).toarray()[:, order], atol=1e-6)
    for text in [*texts, *others]:
        assert (again.transform([text]) != again.transform([text, ""])[:1]).nnz == 0


def test_long_texts_go_by_words_alone() -> None:
    short, long = FeatureConfig(min_df=1, char_ngrams=3, char_ngrams_below=5), FeatureConfig(min_df=1)
    texts = ["red fox", "a brown fox and one cat"]  # seven words of two letters or more
    assert TextFeatures.fit(texts, short).char_ngrams[:3] == [" an", " br", " ca"]
    texts = ["red fox and dog", "the brown fox and one cat"]  # ten
    features, X = TextFeatures.fit_transform(texts, short)
    assert features.char_ngrams == []
    assert (TextFeatures.fit_transform(texts, long)[1] != X).nnz == 0


def test_other_forms_of_a_word_share_n_grams() -> None:
    features = TextFeatures.fit(["birds", "bird songs", "fish"], FeatureConfig(min_df=1, char_ngrams=4))
    known, unknown = features.transform(["birds", "birdlike"]).toarray()
    assert known @ unknown > 0.2
    assert not features.transform(["zoo"]).nnz


def test_terms_are_counted_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, config = ["red fox", "a red dog", "foxes", "dogs red"], FeatureConfig(char_ngrams=3)
    _, whole = TextFeatures.fit_transform(texts, config)
    monkeypatch.setattr("xmlcli.features.term_counts._BLOCK", 3)
    told: list[tuple[str, int, int]] = []
    features, X = TextFeatures.fit_transform(texts, config, progress=lambda *what: told.append(what))
    assert told[-2:] == [("count words", 3, 4), ("count words", 4, 4)]
    np.testing.assert_array_equal(X.toarray(), whole.toarray())
    assert features.transform([]).shape == (0, X.shape[1])


def test_the_most_frequent_of_words_and_n_grams_are_kept() -> None:
    texts = ["abc abc abc xyz", "abc", "xyz"]
    features, X = TextFeatures.fit_transform(texts, FeatureConfig(min_df=1, char_ngrams=4, max_features=3))
    assert (features.terms, features.char_ngrams) == (["abc"], [" abc", "abc "])
    assert X.shape == (3, 3)
    features = TextFeatures.fit(texts, FeatureConfig(min_df=1, char_ngrams=4, max_features=4))
    assert (features.terms, features.char_ngrams) == (["abc", "xyz"], [" abc", "abc "])


def test_n_grams_without_a_word_frequent_enough() -> None:
    features = TextFeatures.fit(["birdsong", "birdhouse"], FeatureConfig(char_ngrams=4))
    assert features.terms == []
    assert features.char_ngrams == [" bir", "bird"]
    np.testing.assert_allclose(features.transform(["bird", "", "bird"]).toarray()[[0, 2]], [[0.5**0.5] * 2] * 2)


def test_most_frequent_terms_are_kept() -> None:
    texts = ["aa aa aa bb bb cc dd", "aa bb cc", "cc"]  # aa 4, bb 3, cc 3, dd 1; "bb bb" and the like are rarer
    config = FeatureConfig(max_features=3, min_df=1)
    assert_same(texts, texts, config)
    assert TextFeatures.fit(texts, config).terms == ["aa", "bb", "cc"]
    assert TextFeatures.fit(texts, FeatureConfig(max_features=2, min_df=1)).terms == ["aa", "bb"]  # tie: alphabet


def test_saved_features_are_the_same_features() -> None:
    features, X = TextFeatures.fit_transform(TEXTS, FeatureConfig(ngram_max=2))
    again = TextFeatures.from_json(json.loads(json.dumps(features.to_json())))
    assert again.config == features.config
    np.testing.assert_array_equal(again.transform(TEXTS).toarray(), X.toarray())


def test_features_saved_before_there_were_character_n_grams_are_read() -> None:
    features, X = TextFeatures.fit_transform(TEXTS, FeatureConfig(ngram_max=2))
    saved = features.to_json() | {"format": 1}
    del saved["char_ngrams"], saved["config"]["char_ngrams"], saved["config"]["char_ngrams_below"]
    np.testing.assert_array_equal(TextFeatures.from_json(saved).transform(TEXTS).toarray(), X.toarray())


def test_n_gram_whose_words_are_no_terms_is_still_found() -> None:
    features = TextFeatures(FeatureConfig(ngram_max=2), ["aa bb", "cc"], np.ones(2, np.float32))
    found = features.transform(["x aa y bb cc", "bb aa"]).toarray()
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [0.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize(
    "change", [{"format": 3}, {"char_ngrams": [" bir"]}, {"idf": [1.0]}, {"config": {"nope": 1}}, {"terms": []}]
)
def test_saved_features_of_unknown_form_are_refused(change: dict[str, object]) -> None:
    saved = TextFeatures.fit(TEXTS, FeatureConfig()).to_json()
    with pytest.raises(ArtifactError, match="unknown form"):
        TextFeatures.from_json(saved | change)
    with pytest.raises(ArtifactError, match="unknown form"):
        TextFeatures.from_json({})


def test_n_grams_of_several_lengths_are_refused() -> None:
    saved = TextFeatures.fit(["birds"], FeatureConfig(min_df=1, char_ngrams=4)).to_json()
    assert TextFeatures.from_json(saved).char_ngrams == [" bir", "bird", "irds", "rds "]
    with pytest.raises(ArtifactError, match="unknown form"):
        TextFeatures.from_json(saved | {"char_ngrams": [" bir", "bird", "irds", "rds"]})


def test_given_features_are_weighted_as_scikit_learn_weighs_them() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((20, 9)) * (rng.random((20, 9)) < 0.3)
    dense[3] = 0
    X = sp.csr_matrix(dense, dtype=np.float32)
    before = X.copy()
    expected = TfidfTransformer().fit_transform(X).toarray()
    np.testing.assert_allclose(weigh_rows(X, inverse_document_frequency(X)).toarray(), expected, atol=1e-6)
    plain = weigh_rows(X, None)
    assert plain.dtype == np.float32
    norms = np.sqrt(plain.multiply(plain).sum(axis=1)).A1
    np.testing.assert_allclose(norms, np.diff(X.indptr) > 0, atol=1e-6)
    assert (before != X).nnz == 0


def test_how_many_entries_are_weighed_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, config = TEXTS * 3, FeatureConfig(ngram_max=2, char_ngrams=3)
    fitted, whole = TextFeatures.fit_transform(texts, config)
    monkeypatch.setattr(tfidf, "_ENTRIES", 7)
    found, X = TextFeatures.fit_transform(texts, config)
    assert found.to_json() == fitted.to_json()
    assert X.nnz > 7
    np.testing.assert_array_equal(X.toarray(), whole.toarray())


def test_a_single_text_has_the_features_it_has_among_many() -> None:
    texts = [*texts_and_labels(40, 5)[0], "", "é Ünder a b", "Zoë zoë 12"]
    features = TextFeatures.fit(texts, FeatureConfig(min_df=1))
    together = features.transform(texts)
    for row, text in enumerate(texts):
        alone = features.transform([text])
        assert alone.shape == (1, together.shape[1])
        assert alone.indices.tolist() == together[row].indices.tolist()
        assert alone.data.tobytes() == together[row].data.tobytes()
