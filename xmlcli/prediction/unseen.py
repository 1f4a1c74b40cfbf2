"""Labels without training documents: found and scored by their own text.

They have no classifier and no frequency, so they get a shortlist and a combination of scores of their own, whose
log-odds stand beside those of all other labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats, Ints
from xmlcli.config.sections import ShortlistConfig
from xmlcli.distributed.ranks import ALONE
from xmlcli.prediction.combination import Combination, log_odds
from xmlcli.prediction.scores import Scores, TextScores
from xmlcli.prediction.sharded_scores import ShardedScores
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.make_index import SearchVectors, make_index

Encode: TypeAlias = Callable[[sp.csr_matrix], Floats]
SHORTLIST = 20
"""Labels without documents on the shortlist of a document, at most."""


@dataclass(frozen=True)
class UnseenLabels:
    """Labels that are told by their text alone.

    Attributes:
        index: finds the nearest of them.
        scores: by text and name.
        combination: how their scores become one; None before it is fitted.
    """

    index: Index
    scores: TextScores | ShardedScores
    combination: Combination | None = None

    def score(self, X: sp.csr_matrix, documents: Floats) -> tuple[Ints, dict[str, Floats]]:
        """Return the nearest labels of documents, int32 (N, k), padded with L, and name → score float32 (N, k).

        X: float32 CSR (N, F); documents: f(x), float32 (N, D), of unit or zero length.
        """
        num_labels = len(self.scores.frequencies)
        candidates, near = self.index.search(documents, min(SHORTLIST, num_labels), X=X)
        scores = {"search": np.where(candidates < num_labels, near, np.float32(0))}
        return candidates, scores | self.scores(X, documents, candidates)

    def log_odds(self, X: sp.csr_matrix, documents: Floats) -> tuple[Ints, Floats]:
        """Return the labels of `score` and the log-odds that they are right, float32 (N, k), -inf for padding."""
        assert self.combination is not None, "the combination has been fitted"
        candidates, scores = self.score(X, documents)
        combined = self.combination.combine(scores, candidates, len(self.scores.frequencies))
        return candidates, log_odds(combined, self.combination.curve)


def may_be_unseen(config: ShortlistConfig, scores: Scores | ShardedScores) -> bool:
    """Whether labels without training documents are looked for: where labels have text, and the settings allow it."""
    own = scores.own if isinstance(scores, ShardedScores) else scores
    return config.unseen_labels and config.mask_unseen and isinstance(own, Scores) and own.label_text is not None


def make_unseen(
    scores: Scores | ShardedScores, encode: Encode, config: ShortlistConfig, combination: Combination | None = None,
    which: Callable[[Floats], Bools] = lambda frequencies: frequencies == 0,
) -> UnseenLabels:  # fmt: skip
    """Index labels that have text by its words and vectors.

    scores: of all labels; encode: what makes vectors f(x) of texts, float32 (n, D), of unit or zero length; which: says
    by the frequencies float32 (L,) of all labels which are meant, bool (L,).
    """
    ranks = scores.ranks if isinstance(scores, ShardedScores) else ALONE
    own = scores.own if isinstance(scores, ShardedScores) else scores
    assert isinstance(own, Scores)
    by_text, text = TextScores(own), TextScores(own).text()
    labels = which(scores.frequencies)[ranks.share(len(scores.frequencies))] & (np.diff(text.indptr) > 0)
    vectors = np.zeros((len(labels), own.Z.shape[1]), np.float32)
    vectors[labels] = encode(text[labels])
    search = SearchVectors(vectors, np.zeros(len(labels), np.float32), text)
    index = make_index(search, labels, replace(config, backend="words"), in_order=False, ranks=ranks)
    if isinstance(scores, ShardedScores):
        return UnseenLabels(index, replace(scores, own=by_text), combination)
    return UnseenLabels(index, by_text, combination)
