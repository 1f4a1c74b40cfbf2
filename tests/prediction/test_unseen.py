"""Labels without training documents: against their parts, and fitted on labels that are hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit
from support.fake_stages import make_config
from support.planted_data import collection, unit_rows

from xmlcli.encoder.numpy_encoder import DocumentEncoder
from xmlcli.label_embeddings.word_centroids import label_frequencies, word_centroids
from xmlcli.prediction.combination import DEFAULT, Combination, log_odds, scores_of
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.fit_unseen import fit_unseen
from xmlcli.prediction.scores import Scores
from xmlcli.shortlists.word_index import WordIndex

SHORTLISTS = replace(make_config().shortlist, backend="words", vectors=0.1, mask_unseen=True, unseen_labels=True)
CURVE = ((-3.0, -4.0), (0.0, -1.0), (2.0, 3.0), (4.0, 3.5))
OF_UNSEEN = Combination("logistic", {"intercept": -2.0, "search": 3.0, "label_text": 1.0, "text_share": 0.5}, CURVE[1:])


def texts_of(num_labels: int, num_features: int) -> sp.csr_matrix:
    """The first two of each label's four words, but none of label 2."""
    rows = np.repeat(np.arange(num_labels), 2)
    columns = 4 * rows + np.tile([0, 1], num_labels)
    text = sp.csr_matrix((np.full(len(rows), 0.5**0.5), (rows, columns)), (num_labels, num_features))
    keep = sp.diags((np.arange(num_labels) != 2).astype(np.float32))
    return (keep @ text).tocsr().astype(np.float32)


def an_engine(num_labels: int, unseen: tuple[int, ...], seed: int = 0) -> tuple[Engine, sp.csr_matrix, sp.csr_matrix]:
    """An engine of documents of which labels were taken off, and the documents with all their labels."""
    X, Y = collection(300, num_labels, seed)
    known = Y.toarray()
    known[:, list(unseen)] = 0
    known = sp.csr_matrix(known)
    rng = np.random.default_rng(0)
    tokens = 0.3 * rng.standard_normal((X.shape[1], 8)).astype(np.float32)
    text, frequencies, Z = texts_of(num_labels, X.shape[1]), label_frequencies(known), unit_rows(num_labels, 8, 0)
    words = word_centroids(X, known, text)
    index = WordIndex(words, bonus=np.zeros(num_labels, np.float32), searchable=frequencies > 0, rerank_by=(Z, 0.1))
    scores = Scores(unit_rows(num_labels, 8, 1), np.zeros(num_labels, np.float32), Z, frequencies, None, text)
    return Engine(DocumentEncoder(tokens, None, "gelu"), index, scores, 6, DEFAULT), X, Y


def test_unseen_labels_stand_by_their_log_odds_among_the_others() -> None:
    engine, X, _ = an_engine(9, (2, 4, 7))
    plain_labels, plain = engine.top_k(X, 6)
    combination = replace(DEFAULT, curve=CURVE, unseen=OF_UNSEEN)
    labels, found = replace(engine, combination=combination).with_unseen(SHORTLISTS).top_k(X, 8)
    vectors = engine.encoder.unit(X)
    text = engine.scores.label_text.toarray()
    cosines = X.toarray() @ text.T
    share = (X.toarray() > 0) @ (text**2).T
    search = cosines + 0.1 * vectors @ engine.encoder.unit(engine.scores.label_text).T
    wanted = {label: -2 + 3 * search[:, label] + cosines[:, label] + 0.5 * share[:, label] for label in (4, 7)}
    for i in range(X.shape[0]):
        odds = dict(zip(labels[i].tolist(), log_odds(found[i], CURVE).tolist(), strict=True))
        for label in (4, 7):
            assert odds[label] == pytest.approx(float(log_odds(wanted[label][i], CURVE[1:])), abs=0.05)
        assert [label for label in labels[i].tolist() if label not in (4, 7)] == plain_labels[i].tolist()
        assert 2 not in odds  # it has neither documents nor text
        assert list(odds.values()) == sorted(odds.values(), reverse=True)
    assert not np.isin(plain_labels, (2, 4, 7)).any()
    assert np.isfinite(plain).all()


def test_the_curve_is_undone() -> None:
    scores = np.linspace(-9, 9, 400).astype(np.float32)
    assert np.allclose(scores_of(log_odds(scores, CURVE), CURVE), scores, atol=1e-4)
    assert scores_of(scores, ()) is scores


def test_an_answer_alone_is_that_among_others() -> None:
    engine, X, _ = an_engine(9, (4, 7))
    engine = replace(engine, combination=replace(DEFAULT, unseen=OF_UNSEEN)).with_unseen(SHORTLISTS)
    engine = engine.independent_of_blocks()
    together = engine.top_k(X[:20], 8)
    alone = [engine.top_k(X[i], 8) for i in range(20)]
    assert np.array_equal(together[0], np.vstack([labels for labels, _ in alone]))
    assert np.array_equal(together[1], np.vstack([scores for _, scores in alone]))


def test_the_fit_finds_how_often_a_text_tells_its_label() -> None:
    engine, X, Y = an_engine(60, (3, 30), seed=1)
    combination = fit_unseen(engine, X, Y, np.ones(X.shape[0], np.float32), SHORTLISTS)
    assert combination is not None
    assert combination.coefficients.keys() == {"intercept", "search", "label_text", "text_share"}
    engine = replace(engine, combination=replace(DEFAULT, unseen=combination)).with_unseen(SHORTLISTS)
    labels, scores = engine.top_k(X, 60)
    for label in (3, 30):
        at = labels == label
        probability, right = expit(scores[at]), Y.toarray()[np.flatnonzero(at.any(axis=1)), label] > 0
        assert abs(probability.mean() - right.mean()) < 0.08
        assert probability[right].mean() > probability[~right].mean() + 0.4


def test_nothing_is_fitted_where_nothing_is_unseen_or_wanted() -> None:
    engine, X, Y = an_engine(60, ())
    weights = np.ones(X.shape[0], np.float32)
    assert fit_unseen(engine, X, Y, weights, SHORTLISTS) is None
    engine, X, Y = an_engine(60, (3,))
    assert fit_unseen(engine, X, Y, weights, replace(SHORTLISTS, unseen_labels=False)) is None
    assert fit_unseen(engine, X[:0], Y[:0], weights[:0], SHORTLISTS) is None
    assert fit_unseen(engine, X[:3], Y[:3], weights[:3], SHORTLISTS) is None  # too few to tell
    bare = replace(engine, scores=replace(engine.scores, label_text=None))
    assert fit_unseen(bare, X, Y, weights, SHORTLISTS) is None
    assert bare.with_unseen(SHORTLISTS).unseen is None


@pytest.mark.parametrize(
    "unseen",
    [
        3, {}, {"kind": "authors", "coefficients": {"beta": 0.5}}, {"kind": "logistic", "coefficients": {"search": 1}},
        {"kind": "logistic", "coefficients": {"intercept": 0, "linear": 1}}, OF_UNSEEN.to_json() | {"voters": 3},
        OF_UNSEEN.to_json() | {"unseen": OF_UNSEEN.to_json()},
    ],
)  # fmt: skip
def test_a_combination_of_other_scores_is_refused(unseen: object) -> None:
    whole = replace(DEFAULT, unseen=OF_UNSEEN)
    assert Combination.from_json(whole.to_json()).to_json() == whole.to_json()
    with pytest.raises(Exception, match="unknown form"):
        Combination.from_json(DEFAULT.to_json() | {"unseen": unseen})
