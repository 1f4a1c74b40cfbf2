"""Phase 1: label embeddings z_l = g(c_l), label centroids passed through a trained proxy map.

c_l is the mean vector of the documents that carry label l. g is affine, shared by all labels, and trained so that
g(c_l) lies near the documents of l by the robust loss log(1 + |g(c_l) - f(x_i)|^2) over all pairs of document and label
(the authors' code; method notes, section 1). `authors` trains g as two linear layers on raw vectors. The default trains
one, from the identity, on unit vectors, and leaves the pair's own document out of the centroid: otherwise a label with
one document would teach g to copy it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import nn

from xmlcli.config import ProxyConfig
from xmlcli.optimisers import DenseAdam
from xmlcli.progress import Progress, silent
from xmlcli.runtime import one_thread_each

Floats = npt.NDArray[np.float32]


class ProxyMap(nn.Module):
    """The affine map g: D → D, or D → H → D without an activation between."""

    def __init__(self, dim: int, config: ProxyConfig, *, seed: int) -> None:
        super().__init__()
        if config.start == "identity":
            layer = nn.Linear(dim, dim)
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
            self.layers = nn.Sequential(layer)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.layers = nn.Sequential(nn.Linear(dim, config.hidden), nn.Linear(config.hidden, dim))

    def forward(self, centroids: torch.Tensor) -> torch.Tensor:
        """centroids: float32 (B, D) → (B, D)."""
        mapped: torch.Tensor = self.layers(centroids)
        return mapped


class Centroids:
    """Sums of document vectors by label, from which means are taken with or without one document.

    Attributes:
        sums: float32 (L, D) on the documents' device.
        counts: float32 (L,), documents of each label, its own text counted as one where it has text.
    """

    def __init__(self, documents: torch.Tensor, Y: sp.csr_matrix, label_texts: torch.Tensor | None) -> None:
        """documents: float32 (N, D); Y: CSR (N, L); label_texts: float32 (L, D), zero rows for labels without text."""
        sums = torch.from_numpy(np.asarray(Y.T.tocsr() @ documents.cpu().numpy(), dtype=np.float32))
        self.sums = sums.to(documents.device)
        self.counts = torch.from_numpy(Y.getnnz(axis=0).astype(np.float32)).to(documents.device)
        if label_texts is not None:
            self.sums += label_texts
            self.counts += (label_texts != 0).any(dim=1).float()

    def means(self) -> torch.Tensor:
        """Return the centroids (L, D); zero for a label without documents and text."""
        return self.sums / self.counts.clamp(min=1)[:, None]

    def means_without(self, labels: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Return the centroid of each of `labels` int64 (B,) without the document (B, D) that carries it."""
        return (self.sums[labels] - documents) / (self.counts[labels] - 1).clamp(min=1)[:, None]


def train_proxy(
    g: ProxyMap,
    documents: torch.Tensor,
    centroids: Centroids,
    Y: sp.csr_matrix,
    config: ProxyConfig,
    *,
    generator: np.random.Generator,
    progress: Progress = silent,
) -> float:
    """Train g on the pairs of Y by Adam; return the mean robust loss of the last epoch (0.0 where nothing is trained).

    documents: float32 (N, D), frozen. Each epoch permutes the pairs anew.
    """
    coo = Y.tocoo()
    rows, labels = coo.row.astype(np.int64), coo.col.astype(np.int64)
    if config.leave_one_out:
        several = (centroids.counts.cpu().numpy() > 1)[labels]
        rows, labels = rows[several], labels[several]
    num_pairs = min(len(rows), config.max_pairs)
    steps = -(-num_pairs // config.batch_size)
    optimiser = DenseAdam(g.parameters())

    def step(pairs: npt.NDArray[np.int64], rate: float) -> float:
        x = documents[torch.from_numpy(rows[pairs]).to(documents.device)]
        l = torch.from_numpy(labels[pairs]).to(documents.device)  # noqa: E741
        c = centroids.means_without(l, x) if config.leave_one_out else centroids.sums[l] / centroids.counts[l, None]
        loss = torch.log1p((g(c) - x).square().sum(dim=1)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(rate)
        return loss.item() * len(pairs)

    mean = 0.0
    with one_thread_each():
        for epoch in range(config.epochs if steps else 0):
            order, total = generator.permutation(len(rows))[:num_pairs], 0.0
            for number in range(steps):
                left = 1 - (epoch * steps + number) / (config.epochs * steps) if config.decay else 1.0
                pairs = order[number * config.batch_size : (number + 1) * config.batch_size]
                total += step(pairs, config.learning_rate * left)
                progress("proxy", epoch * steps + number + 1, config.epochs * steps)
            mean = total / num_pairs
    return mean


@torch.no_grad()
def embed_labels(g: ProxyMap, centroids: Centroids, *, has_map: bool) -> Floats:
    """Return the label embeddings, float32 (L, D) of unit length on the CPU; g is left out unless `has_map`."""
    means = centroids.means()
    return F.normalize(g(means) if has_map else means, dim=1).cpu().numpy()
