"""The embedded dataset `demo`. It is synthetic: no document, word or label in it is real.

The program makes it from a fixed seed in about two seconds: 12,000 training and 3,000 test documents of made-up words,
3,000 labels with names of such words, two to four labels a document of which some went missing, a power law over
labels that leaves most of them fewer than ten documents, words shared by several labels of a theme, and noise.

It is planted: documents are drawn from a known model (`demo_world`), so the probability that a label is recorded for
a document is known too, up to a sum over label sets. `oracle_top_k` ranks by it (`demo_oracle`), from the words of
the test documents and the true parameters, never from their labels. No learner can be expected to beat that ranking
in P@k; that it stays below 100 % is the missing labels' and the ambiguous words' doing.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xmlcli.datasets.formats.raw import RawSplit, label_matrix
from xmlcli.datasets.synthetic import demo_world
from xmlcli.datasets.synthetic.demo_oracle import rank_labels
from xmlcli.datasets.synthetic.demo_world import DemoParameters, Documents, World

DEFAULT = DemoParameters()
VERSION = 1
"""Raised whenever the same parameters give other documents."""


def make_train(parameters: DemoParameters = DEFAULT, *, max_documents: int | None = None) -> RawSplit:
    """Return the training documents, or the first `max_documents` of them."""
    split = _as_split(_world(parameters), _draw(parameters, "train"), parameters)
    if max_documents is None or max_documents >= parameters.num_train:
        return split
    assert split.texts is not None
    return RawSplit(split.texts[:max_documents], None, split.Y[:max_documents])


def make_test(parameters: DemoParameters = DEFAULT) -> RawSplit:
    """Return the test documents."""
    return _as_split(_world(parameters), _draw(parameters, "test"), parameters)


def label_names(parameters: DemoParameters = DEFAULT) -> list[str]:
    """Return a name for every label, made of its own words; all names differ."""
    return demo_world.label_names(_world(parameters))


def oracle_top_k(k: int, parameters: DemoParameters = DEFAULT) -> npt.NDArray[np.int32]:
    """Return the best ranking of labels for each test document, given its words and the generating model.

    Returns:
        int32 (num_test, k), padded with L where k exceeds the labels the oracle considers.
    """
    labels, _ = rank_labels(_world(parameters), parameters, _draw(parameters, "test"))
    top = np.full((len(labels), k), parameters.num_labels, dtype=np.int32)
    width = min(k, labels.shape[1])
    top[:, :width] = labels[:, :width]
    return top


@lru_cache(maxsize=1)
def _world(parameters: DemoParameters) -> World:
    return demo_world.make_world(parameters, np.random.default_rng([parameters.seed, 0]))


def _draw(parameters: DemoParameters, split: str) -> Documents:
    """Draw the documents of a split from random numbers of its own."""
    stream, num = {"train": (1, parameters.num_train), "test": (2, parameters.num_test)}[split]
    rng = np.random.default_rng([parameters.seed, stream])
    return demo_world.draw_documents(_world(parameters), parameters, num, rng)


def _as_split(world: World, documents: Documents, parameters: DemoParameters) -> RawSplit:
    words = [world.vocabulary[word] for word in documents.words.tolist()]
    bounds = documents.word_start.tolist()
    texts = [" ".join(words[start:stop]) for start, stop in pairwise(bounds)]
    labels = documents.labels.astype(np.int32)
    return RawSplit(texts, None, label_matrix(np.diff(documents.label_start), labels, parameters.num_labels))
