"""Labels without training documents: found and scored by their own text.

They have no classifier and no frequency, so they get a shortlist and a combination of scores of their own, whose
log-odds stand beside those of all other labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats, Ints
from xmlcli.config.sections import ShortlistConfig
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.prediction.combination import Combination, log_odds
from xmlcli.prediction.scores import TextScores
from xmlcli.prediction.sharded_scores import ShardedScores
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.make_index import SearchVectors, make_index

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


def make_unseen(
    scores: TextScores, labels: Bools, encode: Callable[[sp.csr_matrix], Floats], config: ShortlistConfig,
    ranks: Ranks = ALONE, frequencies: Floats | None = None,
) -> UnseenLabels:  # fmt: skip
    """Index labels by the words and the vectors of their texts.

    scores: of this rank's labels; labels: bool (L',), which of these are meant; encode: what makes vectors f(x) of
    texts, float32 (n, D), of unit or zero length; frequencies: float32 (L,), of all ranks' labels.
    """
    text = scores.text()
    vectors = np.zeros((len(labels), encode(text[:0]).shape[1]), np.float32)
    vectors[labels] = encode(text[labels])
    search = SearchVectors(vectors, np.zeros(len(labels), np.float32), text)
    index = make_index(search, labels, replace(config, backend="words"), in_order=False, ranks=ranks)
    if frequencies is None or ranks.size == 1:
        return UnseenLabels(index, scores)
    return UnseenLabels(index, ShardedScores(scores, frequencies, ranks))
