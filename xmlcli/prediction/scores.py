"""The scores of shortlisted labels: by classifiers, label embeddings, frequencies, linear rows, texts and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.kernels.name_scores import NAME_SCORES, TEXT_SCORES, NameStems, score_names, score_texts
from xmlcli.kernels.products import Table, chosen_products, unit_rows
from xmlcli.kernels.quantised import QuantisedRows
from xmlcli.kernels.row_scores import SparseRows, score_rows

Sparse: TypeAlias = sp.csr_matrix | QuantisedRows

VOTES = "votes"
"""The name of the score by kNN votes."""


@dataclass(frozen=True)
class Scores:
    """All that scores a shortlisted label.

    Attributes:
        weight: classifiers, (L, D); bias: float32 (L,).
        Z: label embeddings, (L, D) unit rows.
        frequencies: float32 (L,), training documents of each label.
        linear: float32 CSR (L, F + 1), or None.
        label_text: unit rows, float32 CSR (L, F), or None.
        stems: of the labels' names, or None.
        independent: see `score_rows`.

    Both sparse matrices may be quantised too.
    """

    weight: Table
    bias: Floats
    Z: Table
    frequencies: Floats
    linear: Sparse | None
    label_text: Sparse | None
    stems: NameStems | None = None
    independent: bool = False

    @property
    def names(self) -> list[str]:
        """The scores' names, in order."""
        linear = [] if self.linear is None else ["linear"]
        return ["classifier", "neighbour", "frequency", *linear, *self.text_names]

    @property
    def text_names(self) -> list[str]:
        """The names of the scores by text, in order."""
        of_text = TEXT_SCORES if self.label_text is not None else ()
        return [*of_text, *(NAME_SCORES if self.stems is not None else ())]

    def __call__(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> dict[str, Floats]:
        """Return name → score of each candidate, float32 (N, k).

        X: float32 CSR (N, F); documents: f(x), float32 (N, D); candidates: int32 (N, k), padded with L.
        """
        real = np.minimum(candidates, len(self.frequencies) - 1)
        scores = {
            "classifier": chosen_products(documents, self.weight, candidates) + self.bias[real],
            "neighbour": chosen_products(unit_rows(documents), self.Z, candidates),
            "frequency": np.log1p(self.frequencies)[real],
        }
        if self.linear is not None:
            scores["linear"] = self._score_sparse(X, self.linear, candidates)
        return scores | self.by_text(X, candidates)

    def by_text(self, X: sp.csr_matrix, candidates: Ints) -> dict[str, Floats]:
        """Return the scores of the labels' own texts and names alone."""
        scores: dict[str, Floats] = {}
        if self.label_text is not None:
            scores |= zip(TEXT_SCORES, score_texts(X, _rows(self.label_text), candidates), strict=True)
        if self.stems is not None:
            scores |= zip(NAME_SCORES, score_names(X, self.stems, candidates), strict=True)
        return scores

    def _score_sparse(self, X: sp.csr_matrix, W: Sparse, candidates: Ints) -> Floats:
        """Return the products of documents with their candidates' sparse rows, float32 (N, k)."""
        return score_rows(X, _rows(W), candidates, independent=self.independent)


def _rows(W: Sparse) -> SparseRows:
    return W.rows() if isinstance(W, QuantisedRows) else SparseRows.of(W)


@dataclass(frozen=True)
class TextScores:
    """The scores by text alone, of labels that have nothing else."""

    of: Scores

    @property
    def names(self) -> list[str]:
        """The scores' names, in order."""
        return self.of.text_names

    @property
    def frequencies(self) -> Floats:
        """See `Scores`."""
        return self.of.frequencies

    def text(self) -> sp.csr_matrix:
        """Return the features of the labels' texts, float32 CSR (L, F)."""
        text = self.of.label_text
        assert text is not None, "the labels have text"
        return text.floats() if isinstance(text, QuantisedRows) else text

    def __call__(self, X: sp.csr_matrix, documents: Floats, candidates: Ints) -> dict[str, Floats]:
        """See `Scores.__call__`; the documents' vectors do not count."""
        return self.of.by_text(X, candidates)
