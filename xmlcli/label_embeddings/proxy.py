"""Phase 1: label embeddings z_l = g(c_l), label centroids passed through a trained proxy map.

c_l is the mean vector of the documents that carry label l. g is affine, shared by all labels, and trained so that
g(c_l) lies near the documents of l by the robust loss log(1 + |g(c_l) - f(x_i)|^2) over all pairs of document and label
(as in the authors' code). `authors` trains g as two linear layers on raw vectors. The default trains
one, from the identity, on unit vectors, and leaves the pair's own document out of the centroid: otherwise a label with
one document would teach g to copy it.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import nn

from xmlcli.arrays import Floats, Longs
from xmlcli.config.sections import ProxyConfig
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.encoder.optimisers import DenseAdam
from xmlcli.label_embeddings.centroids import Centroids
from xmlcli.machine.torch_threads import one_thread_each
from xmlcli.progress import Progress, silent


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


def train_proxy(
    g: ProxyMap,
    documents: torch.Tensor,
    centroids: Centroids,
    Y: sp.csr_matrix,
    config: ProxyConfig,
    *,
    generator: np.random.Generator,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
) -> float:
    """Train g on the pairs of Y by Adam; return the mean robust loss of the last epoch (0.0 where nothing is trained).

    documents: float32 (N, D), frozen. Each epoch permutes the pairs anew. Of several ranks each gives its documents,
    and rank 0 draws from Y, the pairs of all; all train the same g on the same pairs.
    """
    pairs = _pairs(Y, centroids, config) if ranks.is_first else np.zeros((2, 0), np.int64)
    in_all = ranks.broadcast(lambda: pairs.shape[1])
    num_pairs = min(in_all, config.max_pairs)
    steps = -(-num_pairs // config.batch_size)
    optimiser = DenseAdam(g.parameters())

    def draw() -> Longs:
        return pairs[:, generator.permutation(in_all)[:num_pairs]]

    def step(rows: Longs, labels: Longs, rate: float) -> float:
        x = ranks.fetch_same_rows(documents, rows, Y.shape[0])
        c = centroids.means_without(labels, x) if config.leave_one_out else centroids.means_of(labels)
        loss = torch.log1p((g(c) - x).square().sum(dim=1)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(rate)
        return loss.item() * len(rows)

    mean = 0.0
    with one_thread_each():
        for epoch in range(config.epochs if steps else 0):
            drawn, total = ranks.broadcast(draw), 0.0
            for number in range(steps):
                left = 1 - (epoch * steps + number) / (config.epochs * steps) if config.decay else 1.0
                rows, labels = drawn[:, number * config.batch_size : (number + 1) * config.batch_size]
                total += step(rows, labels, config.learning_rate * left)
                progress("proxy", epoch * steps + number + 1, config.epochs * steps)
            mean = total / num_pairs
    return mean


def _pairs(Y: sp.csr_matrix, centroids: Centroids, config: ProxyConfig) -> Longs:
    """Return the pairs of document and label to draw from, int64 (2, P)."""
    coo = Y.tocoo()
    pairs = np.stack([coo.row, coo.col]).astype(np.int64)
    return pairs[:, (centroids.counts.cpu().numpy() > 1)[pairs[1]]] if config.leave_one_out else pairs


@torch.no_grad()
def embed_labels(g: ProxyMap, centroids: Centroids, *, has_map: bool) -> Floats:
    """Return the (own) label embeddings, float32 (L, D) of unit length on the CPU; g is left out unless `has_map`."""
    means = centroids.means()
    return F.normalize(g(means) if has_map else means, dim=1).cpu().numpy()
