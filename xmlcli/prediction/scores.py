"""The scores of shortlisted labels: by classifiers, label embeddings, frequencies, linear rows, texts and names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Ints
from xmlcli.kernels.name_scores import NAME_SCORES, NameStems, score_names
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
        sparse = {"linear": self.linear, "label_text": self.label_text}
        names = ["classifier", "neighbour", "frequency", *(name for name, W in sparse.items() if W is not None)]
        return [*names, *(NAME_SCORES if self.stems is not None else ())]

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
        sparse = {"linear": self.linear, "label_text": self.label_text}
        scores |= {name: self._score_sparse(X, W, candidates) for name, W in sparse.items() if W is not None}
        if self.stems is not None:
            scores |= zip(NAME_SCORES, score_names(X, self.stems, candidates), strict=True)
        return scores

    def _score_sparse(self, X: sp.csr_matrix, W: Sparse, candidates: Ints) -> Floats:
        """Return the products of documents with their candidates' sparse rows, float32 (N, k)."""
        rows = W.rows() if isinstance(W, QuantisedRows) else SparseRows.of(W)
        return score_rows(X, rows, candidates, independent=self.independent)
