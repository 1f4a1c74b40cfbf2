"""Text features against scikit-learn's."""

from __future__ import annotations

import json
from dataclasses import asdict

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
        min_df=config.min_df,
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


@pytest.mark.parametrize("min_df", [1, 2])
@pytest.mark.parametrize(("sublinear_tf", "use_idf"), [(True, True), (False, True), (True, False)])
def test_features_equal_scikit_learn(min_df: int, sublinear_tf: bool, use_idf: bool) -> None:
    config = FeatureConfig(min_df=min_df, sublinear_tf=sublinear_tf, use_idf=use_idf)
    assert_same(TEXTS, ["brown fox unknown quick x brown dog", "", "UNKNOWN"], config)


words = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "x", "É", "éa", "9", "1_"]), max_size=12)
sentences = words.map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(sentences | st.text(max_size=15), min_size=1, max_size=6),
    others=st.lists(sentences, max_size=3),
    min_df=st.integers(1, 2),
)
def test_features_of_random_texts_equal_scikit_learn(texts: list[str], others: list[str], min_df: int) -> None:
    assert_same(texts, [*others, ""], FeatureConfig(min_df=min_df))


def with_char_ngrams(config: FeatureConfig) -> TfidfVectorizer:
    """scikit-learn's features of words and of their character n-grams, a `#` before each of these."""
    words = CountVectorizer().build_analyzer()
    ngrams = CountVectorizer(analyzer="char_wb", ngram_range=(config.char_ngrams, config.char_ngrams)).build_analyzer()

    def analyzer(text: str) -> list[str]:
        own = words(text)
        return own + [f"#{ngram}" for word in own for ngram in ngrams(word)]

    return TfidfVectorizer(
        analyzer=analyzer,
        min_df=config.min_df,
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


def test_long_texts_have_no_character_n_grams() -> None:
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


def test_n_grams_without_a_word_frequent_enough() -> None:
    features = TextFeatures.fit(["birdsong", "birdhouse"], FeatureConfig(char_ngrams=4))
    assert features.terms == []
    assert features.char_ngrams == [" bir", "bird"]
    np.testing.assert_allclose(features.transform(["bird", "", "bird"]).toarray()[[0, 2]], [[0.5**0.5] * 2] * 2)


def test_saved_features_are_the_same_features() -> None:
    features, X = TextFeatures.fit_transform(TEXTS, FeatureConfig())
    again = TextFeatures.from_json(json.loads(json.dumps(features.to_json())))
    assert again.config == features.config
    np.testing.assert_array_equal(again.transform(TEXTS).toarray(), X.toarray())


def test_features_saved_before_there_were_character_n_grams_are_read() -> None:
    features, X = TextFeatures.fit_transform(TEXTS, FeatureConfig())
    saved = features.to_json() | {"format": 1}
    del saved["char_ngrams"], saved["config"]["char_ngrams"], saved["config"]["char_ngrams_below"]
    np.testing.assert_array_equal(TextFeatures.from_json(saved).transform(TEXTS).toarray(), X.toarray())


def test_saved_features_say_that_they_hold_no_n_grams_of_words() -> None:
    saved = TextFeatures.fit(TEXTS, FeatureConfig()).to_json()
    assert saved["config"] == asdict(FeatureConfig()) | {"ngram_max": 1, "max_features": None}


@pytest.mark.parametrize("change", [{"ngram_max": 2}, {"max_features": 9}])
def test_saved_features_with_n_grams_of_words_are_refused(change: dict[str, int]) -> None:
    saved = TextFeatures.fit(TEXTS, FeatureConfig()).to_json()
    saved["config"] |= change
    with pytest.raises(ArtifactError, match="n-grams of words"):
        TextFeatures.from_json(saved)


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


def test_stored_zeros_make_no_term_frequent() -> None:
    stored = sp.csr_matrix((np.array([1, 0, 1, 0], np.float32), [0, 1, 1, 2], [0, 2, 3, 4]), shape=(3, 3))
    clean = stored.copy()
    clean.eliminate_zeros()
    assert stored.nnz == 4
    np.testing.assert_array_equal(inverse_document_frequency(stored), inverse_document_frequency(clean))
    expected = np.log(4 / np.array([2, 2, 1])) + 1
    np.testing.assert_allclose(inverse_document_frequency(stored), expected, rtol=1e-6)


@pytest.mark.parametrize("largest", [1.0, 1e19, 1e38, np.finfo(np.float32).max])
def test_rows_of_any_finite_numbers_are_scaled_to_unit_length(largest: float) -> None:
    rng = np.random.default_rng(1)
    dense = (rng.uniform(-1, 1, (40, 9)) * largest).astype(np.float32)
    dense[:, 3], dense[5], dense[6, 1:] = 1.0, 0, 0
    for idf in (None, rng.uniform(1, 9, 9).astype(np.float32)):
        weighted = dense.astype(np.float64) * (1 if idf is None else idf)
        norms = np.linalg.norm(weighted, axis=1, keepdims=True)
        expected = np.divide(weighted, norms, where=norms > 0, out=np.zeros_like(weighted))
        np.testing.assert_allclose(weigh_rows(sp.csr_matrix(dense), idf).toarray(), expected, rtol=3e-7, atol=1e-45)


def test_how_many_entries_are_weighed_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, config = TEXTS * 3, FeatureConfig(char_ngrams=3)
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
