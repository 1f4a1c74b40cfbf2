"""Label centroids c_l: the mean vector of the documents that carry label l."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from xmlcli.arrays import Longs
from xmlcli.distributed.ranks import ALONE, Ranks


class Centroids:
    """Sums of document vectors by label, from which means are taken with or without one document.

    Attributes:
        sums: float32 (L, D) on the documents' device; of several ranks each has its labels'.
        counts: float32 (L,), documents of each label, its own text counted as one where it has text; of all ranks.
    """

    def __init__(
        self, documents: torch.Tensor, Y: sp.csr_matrix, label_texts: torch.Tensor | None, ranks: Ranks = ALONE
    ) -> None:
        """documents: float32 (N, D); Y: CSR (N, L); label_texts: float32 (L, D), zero rows for labels without text.

        Of several ranks each gives its labels, and the documents that carry them.
        """
        sums = torch.from_numpy(np.asarray(Y.T.tocsr() @ documents.cpu().numpy(), dtype=np.float32))
        self.sums = sums.to(documents.device)
        self.counts = torch.from_numpy(Y.getnnz(axis=0).astype(np.float32)).to(documents.device)
        if label_texts is not None:
            self.sums += label_texts
            self.counts += (label_texts != 0).any(dim=1).float()
        self._own_counts, self._ranks = self.counts, ranks
        if ranks.size > 1:
            self.counts = torch.from_numpy(ranks.all_gather_rows(self.counts.cpu().numpy())).to(documents.device)

    def means(self) -> torch.Tensor:
        """Return the centroids (L, D), of several ranks its own; zero for a label without documents and text."""
        return self.sums / self._own_counts.clamp(min=1)[:, None]

    def means_of(self, labels: Longs) -> torch.Tensor:
        """Return the centroid of each of `labels` (B,), of any ranks but the same on each."""
        return self._sums_of(labels) / self._counts_of(labels)[:, None]

    def means_without(self, labels: Longs, documents: torch.Tensor) -> torch.Tensor:
        """Return the centroid of each of `labels` (B,) without the document (B, D) that carries it."""
        return (self._sums_of(labels) - documents) / (self._counts_of(labels) - 1).clamp(min=1)[:, None]

    def _sums_of(self, labels: Longs) -> torch.Tensor:
        return self._ranks.fetch_same_rows(self.sums, labels, len(self.counts))

    def _counts_of(self, labels: Longs) -> torch.Tensor:
        return self.counts[torch.from_numpy(labels).to(self.counts.device)]
