"""The embedded dataset: deterministic, of the promised shape, and its oracle honest."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import numpy.typing as npt
import pytest

from xmlcli.datasets.synthetic import demo
from xmlcli.datasets.synthetic.demo_oracle import rank_labels
from xmlcli.datasets.synthetic.demo_world import DemoParameters, Documents, World, draw_documents, make_world
from xmlcli.metrics import Metric, evaluate_top_k

SMALL = DemoParameters(
    num_train=300, num_test=400, num_labels=7, num_themes=2, num_general_words=15, words_per_theme=4, words_per_label=3
)


def test_demo_is_the_same_every_time() -> None:
    first, again = demo.make_train(SMALL), demo.make_train(replace(SMALL))
    assert first.texts == again.texts
    assert (first.Y != again.Y).nnz == 0
    assert demo.make_train(replace(SMALL, seed=1)).texts != first.texts
    assert demo.make_test(SMALL).texts != first.texts


def test_demo_has_the_promised_shape() -> None:
    train, test, names = demo.make_train(), demo.make_test(), demo.label_names()
    assert (train.Y.shape, test.Y.shape) == ((12_000, 3_000), (3_000, 3_000))
    assert train.texts is not None
    assert {len(text.split()) for text in train.texts} == set(range(20, 41))
    assert len(set(names)) == len(names) == 3_000
    frequency = train.Y.getnnz(axis=0)
    assert 0.7 < (frequency < 10).mean() < 0.9
    assert frequency.max() > 100
    assert set(train.Y.getnnz(axis=1)) == {1, 2, 3, 4}
    words = set(" ".join(train.texts).split())
    assert all(part.isdigit() or part in words for name in names[:50] for part in name.split())


def test_max_documents_takes_the_first() -> None:
    whole, part = demo.make_train(SMALL), demo.make_train(SMALL, max_documents=10)
    assert whole.texts is not None
    assert part.texts == whole.texts[:10]
    assert (whole.Y[:10] != part.Y).nnz == 0


def test_oracle_scores_between_75_and_90_percent() -> None:
    top = demo.oracle_top_k(5)
    score = evaluate_top_k(top, demo.make_test().Y, np.ones(3_000), [Metric("P", 1), Metric("P", 5)])
    assert 75 < score["P@1"] < 90


def test_oracle_pads_what_it_did_not_consider() -> None:
    top = demo.oracle_top_k(9, SMALL)
    assert top.shape == (400, 9)
    assert (top[:, 7:] == 7).all()
    assert (np.sort(top[:, :7], axis=1) == np.arange(7)).all()


def brute_force(world: World, p: DemoParameters, words: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """P(label recorded | words), straight from the story the module tells, summed over themes and ordered draws."""
    num_labels = p.num_labels
    theme_prior = [world.prior[world.theme_of == theme].sum() for theme in range(p.num_themes)]

    def word_given(label: int, word: int) -> float:
        own = sum(share for own, share in zip(world.own_words[label], world.own_shares, strict=True) if own == word)
        of_theme = world.theme_words[world.theme_of[label]].tolist()
        theme = world.theme_shares[of_theme.index(word)] if word in of_theme else 0.0
        return float(p.own_share * own + (1 - p.own_share) * theme)

    given = np.array([[word_given(label, word) for word in words] for label in range(num_labels)])
    chance, total = np.zeros(num_labels), 0.0
    for theme, (size, size_share) in product(range(p.num_themes), p.set_sizes):
        draw = [
            p.same_theme * (world.theme_of[label] == theme) * world.prior[label] / theme_prior[theme]
            + (1 - p.same_theme) * world.prior[label]
            for label in range(num_labels)
        ]
        orders = list(permutations(range(num_labels), size))
        weights = np.array([np.prod([draw[label] for label in order]) for order in orders])
        for order, weight in zip(orders, weights / weights.sum(), strict=True):
            mixed = given[list(order)].mean(axis=0)
            likelihood = np.prod(p.background_share * world.background[words] + (1 - p.background_share) * mixed)
            joint = theme_prior[theme] * size_share * weight * likelihood
            total += joint
            chance[list(order)] += joint * (1 - p.missing + p.missing**size / size)
    return chance / total


def small_world(p: DemoParameters) -> tuple[World, Documents]:
    world = make_world(p, np.random.default_rng(5))
    return world, draw_documents(world, p, p.num_test, np.random.default_rng(6))


def test_oracle_is_the_exact_posterior_where_it_considers_every_label() -> None:
    p = replace(SMALL, num_test=6, min_words=2, max_words=9)
    world, documents = small_world(p)
    labels, chance = rank_labels(world, p, documents)
    for row in range(p.num_test):
        words = documents.words[documents.word_start[row] : documents.word_start[row + 1]]
        expected = brute_force(world, p, words)
        np.testing.assert_allclose(chance[row], expected[labels[row]], rtol=2e-4)
        assert (np.diff(chance[row]) <= 0).all()


def test_oracle_is_calibrated_and_sees_no_labels() -> None:
    p = replace(SMALL, num_test=1_500, num_labels=40, num_themes=5, num_general_words=200)
    world, documents = small_world(p)
    labels, chance = rank_labels(world, p, documents)
    blind = replace(documents, labels=np.zeros(0, np.int64), label_start=np.zeros(p.num_test + 1, np.int64))
    np.testing.assert_array_equal(rank_labels(world, p, blind)[0], labels)
    rows = np.repeat(np.arange(p.num_test), np.diff(documents.label_start))
    truth = np.zeros((p.num_test, p.num_labels), dtype=bool)
    truth[rows, documents.labels] = True
    hit = np.take_along_axis(truth, labels.astype(np.int64), axis=1)
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0)):
        inside = (chance >= low) & (chance < high)
        assert hit[inside].mean() == pytest.approx(chance[inside].mean(), abs=4 / np.sqrt(inside.sum()) + 0.003)


def test_more_candidates_do_not_change_what_the_oracle_scores() -> None:
    p = demo.DEFAULT
    world = make_world(p, np.random.default_rng([p.seed, 0]))
    documents = draw_documents(world, p, 200, np.random.default_rng(1))
    few, many = (rank_labels(world, p, documents, count)[1] for count in (16, 22))
    np.testing.assert_allclose(few[:, :3].sum(), many[:, :3].sum(), rtol=0.01)
