"""Planted collections of any size, to see what training costs as labels and documents grow. Nothing in them is real.

Labels are numbered so that each 50 in a row are a topic. A document is drawn as follows:

1. its number of labels is drawn from `_SET_SIZES`. The first is its *anchor*; each of the others comes from the
   anchor's topic with probability 0.5, otherwise from all labels, by the label prior; two alike count as one label.
   The prior is Zipf's law. Among training documents every label is an anchor once, as far as documents suffice, so
   that hardly any is without documents; the other anchors follow the prior. Test anchors are drawn from the training
   ones;
2. its number of words is log-normal around `median_words`: about 10 make titles, 100 abstracts;
3. each word is drawn by itself: common (Zipf's law), noise (any word of the vocabulary), or of one of its labels, all
   alike: then one of that label's four own words, or a word of its topic. Own words are drawn from the vocabulary by a
   power law, so a word belongs to several labels, some words to many, and only together do they tell a label.

The vocabulary grows with the number of labels to the power 0.7, as vocabularies grow with texts (Heaps' law).

Why not `demo_world` with larger numbers: the demo is what an oracle can rank exactly, so its documents are drawn in a
way whose posterior can be summed over label sets, its vocabulary grows as fast as its labels do, and a large one
would leave most labels without documents. What the two share is imported from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.datasets.formats.raw import RawDataset, RawSplit, label_matrix
from xmlcli.datasets.published.catalogue import DEFAULT_PROPENSITY
from xmlcli.datasets.synthetic.demo_world import (
    Documents,
    FloatArray,
    IntArray,
    draw,
    make_names,
    make_words,
    power_law,
)
from xmlcli.progress import Progress, silent

VERSION = 1
"""Raised whenever the same parameters give other documents."""

_SET_SIZES = np.array([0.25, 0.3, 0.25, 0.13, 0.07])  # of 1, …, 5 labels
_SAME_TOPIC = 0.5
_LABELS_PER_TOPIC = 50
_RANK_OFFSET = 5.0  # flattens the head of the label prior: the most frequent label has about 1 % of its draws
_OWN_WORDS, _TOPIC_WORDS = 4, 20
_KINDS = np.array([0.35, 0.05, 0.36, 0.24])  # of words: common, noise, own, topic
_LENGTH_SPREAD = 0.5  # standard deviation of ln(words of a document)
_FEWEST_WORDS, _LONGEST = 3, 10  # a document has at least 3 words, and at most 10 times the median
_CHUNK = 50_000  # documents drawn at a time


@dataclass(frozen=True)
class Parameters:
    """Size of a planted collection.

    Attributes:
        num_labels: L; num_documents: training documents; num_test: test documents.
        median_words: of the lengths of documents.
    """

    num_labels: int
    num_documents: int
    num_test: int
    median_words: float = 20.0
    seed: int = 1

    @property
    def num_words(self) -> int:
        """Size of the vocabulary, F."""
        grown: float = 45 * self.num_labels**0.7
        return 1000 + round(grown)


@dataclass(frozen=True)
class World:
    """What documents are drawn from. Words by number: an eighth common ones, an eighth of topics, the rest labels' own.

    Attributes:
        reach: float64 (L + 1,), the label prior added up.
        common: float64 (F // 8,), shares of the common words.
        topic_words: int64 (T, 20); own_words: int64 (L, 4).
        anchors: int64 (N,), the first label of each training document.
    """

    reach: FloatArray
    common: FloatArray
    topic_words: IntArray
    own_words: IntArray
    anchors: IntArray


def make_world(p: Parameters) -> World:
    """Draw the label prior, words and anchors."""
    rng = np.random.default_rng([p.seed, 0])
    prior = power_law(p.num_labels, 1.0, _RANK_OFFSET)[rng.permutation(p.num_labels)]
    num_topics, eighth = -(-p.num_labels // _LABELS_PER_TOPIC), p.num_words // 8
    topic_words = rng.integers(eighth, 2 * eighth, (num_topics, _TOPIC_WORDS))
    own = draw(power_law(p.num_words - 2 * eighth, 0.5), rng.random((p.num_labels, _OWN_WORDS)))
    once = rng.permutation(p.num_labels)[: p.num_documents]
    anchors = np.concatenate([once, draw(prior, rng.random(p.num_documents - len(once)))])
    return World(
        reach=np.concatenate([[0.0], np.cumsum(prior)]),
        common=power_law(eighth, 1.0, 2.0),
        topic_words=topic_words,
        own_words=2 * eighth + own,
        anchors=rng.permutation(anchors),
    )


def generate(p: Parameters, *, as_text: bool = False, progress: Progress = silent) -> RawDataset:
    """Draw a collection. The same parameters give the same documents, as texts or as matrices.

    Args:
        p: how large it is.
        as_text: return texts and label names; otherwise X holds 1 + ln(count) of each word, and labels have no names.
        progress: told documents drawn and in all.
    """
    world = make_world(p)
    vocabulary = make_words(p.num_words, np.random.default_rng([p.seed, 1])) if as_text else None
    test_anchors = np.random.default_rng([p.seed, 2]).choice(world.anchors, p.num_test)
    total, done = p.num_documents + p.num_test, 0

    def split(anchors: IntArray, stream: int) -> RawSplit:
        nonlocal done
        parts = []
        for documents in _draw_chunks(world, p, anchors, stream):
            parts.append(_as_split(documents, p, vocabulary))
            done += parts[-1].Y.shape[0]
            progress("generate", done, total)
        return _joined(parts)

    train, test = split(world.anchors, 3), split(test_anchors, 4)
    names = None if vocabulary is None else make_names(world.own_words[:, :2], vocabulary)
    return RawDataset(train, test, names, None, None, *DEFAULT_PROPENSITY)


def describe(dataset: RawDataset, p: Parameters) -> dict[str, Any]:
    """Return the counts of a generated collection, and what it was made with."""
    assert dataset.test is not None
    Y, Y_test = dataset.train.Y, dataset.test.Y
    return {
        "synthetic": True,
        "version": VERSION,
        "seed": p.seed,
        "median_words": p.median_words,
        "labels": Y.shape[1],
        "labels_without_documents": int((Y.getnnz(axis=0) == 0).sum()),
        "words": p.num_words,
        "training_documents": Y.shape[0],
        "training_pairs": Y.nnz,
        "test_documents": Y_test.shape[0],
        "test_pairs": Y_test.nnz,
    }


def _draw_chunks(world: World, p: Parameters, anchors: IntArray, stream: int) -> Iterator[Documents]:
    """Yield the documents of some anchors, int64 (n,), a chunk at a time, each from random numbers of its own."""
    for number, start in enumerate(range(0, len(anchors), _CHUNK)):
        rng = np.random.default_rng([p.seed, stream, number])
        yield draw_documents(world, p, anchors[start : start + _CHUNK], rng)


def draw_documents(world: World, p: Parameters, anchors: IntArray, rng: np.random.Generator) -> Documents:
    """Draw a document for each anchor, int64 (n,); a label may stand twice among a document's."""
    sizes = 1 + draw(_SET_SIZES, rng.random(len(anchors)))
    slots = _draw_labels(world, anchors, rng)
    lengths = np.exp(rng.normal(np.log(p.median_words), _LENGTH_SPREAD, len(anchors)))
    lengths = lengths.clip(_FEWEST_WORDS, max(_LONGEST * p.median_words, _FEWEST_WORDS)).round().astype(np.int64)
    document = np.repeat(np.arange(len(anchors)), lengths)
    total = len(document)
    label = slots[document, (rng.random(total) * sizes[document]).astype(np.int64)]
    kinds = [
        draw(world.common, rng.random(total)),
        (rng.random(total) * p.num_words).astype(np.int64),
        world.own_words[label, draw(power_law(_OWN_WORDS, 0.5), rng.random(total))],
        world.topic_words[label // _LABELS_PER_TOPIC, draw(power_law(_TOPIC_WORDS, 0.8), rng.random(total))],
    ]
    words = np.choose(draw(_KINDS, rng.random(total)), kinds)
    used = np.arange(len(_SET_SIZES)) < sizes[:, None]
    return Documents(words, _starts(lengths), slots[used], _starts(sizes))


def _draw_labels(world: World, anchors: IntArray, rng: np.random.Generator) -> IntArray:
    """Return the labels each document may have, int64 (n, 5), the anchor first."""
    shape, reach = (len(anchors), len(_SET_SIZES)), world.reach
    topic = anchors // _LABELS_PER_TOPIC * _LABELS_PER_TOPIC
    low = reach[topic][:, None]
    high = reach[np.minimum(topic + _LABELS_PER_TOPIC, len(reach) - 1)][:, None]
    inside = rng.random(shape) < _SAME_TOPIC
    place = np.where(inside, low + rng.random(shape) * (high - low), rng.random(shape) * reach[-1])
    slots: IntArray = np.searchsorted(reach, place, side="right") - 1
    slots = slots.clip(max=len(reach) - 2)
    slots[:, 0] = anchors
    return slots


def _as_split(documents: Documents, p: Parameters, vocabulary: list[str] | None) -> RawSplit:
    labels = documents.labels.astype(np.int32)
    Y = label_matrix(np.diff(documents.label_start), labels, p.num_labels)
    if vocabulary is None:
        return RawSplit(None, _counts(documents, p.num_words), Y)
    words = [vocabulary[word] for word in documents.words.tolist()]
    return RawSplit([" ".join(words[start:stop]) for start, stop in pairwise(documents.word_start.tolist())], None, Y)


def _counts(documents: Documents, num_words: int) -> sp.csr_matrix:
    """Return 1 + ln(count) of the words of each document, float32 CSR (n, F), sorted."""
    ones = np.ones(len(documents.words), np.float32)
    shape = (len(documents.word_start) - 1, num_words)
    X = sp.csr_matrix((ones, documents.words.astype(np.int32), documents.word_start), shape=shape)
    X.sum_duplicates()
    X.data = np.log(X.data) + np.float32(1)
    return X


def _joined(parts: list[RawSplit]) -> RawSplit:
    """Return one split of several."""
    Y = sp.vstack([part.Y for part in parts], format="csr")
    if parts[0].texts is None:
        return RawSplit(None, sp.vstack([part.X for part in parts], format="csr"), Y)
    return RawSplit([text for part in parts for text in part.texts or []], None, Y)


def _starts(lengths: npt.NDArray[np.int64]) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths)])
