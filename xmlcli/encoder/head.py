"""A training pass through the encoder's head: f = z + k2 · relu(W z / sigma + b) with z = k1 · act(x), back and forth.

k1 and k2 are dropout's: 0 for a dropped entry, 1 / (1 - rate) for a kept one. The gradients are written out, for in
steps of a few milliseconds autograd takes longer than what it differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from xmlcli.arrays import Floats
from xmlcli.encoder.encoder import ACTIVATIONS, Encoder


def draw_kept(num_layers: int, size: int, dim: int, rate: float, rng: np.random.Generator) -> list[Floats]:
    """Return what dropout multiplies each layer's entries with, float32 (B, D) each; nothing at a rate of 0.

    An entry is dropped with the probability `rate` to the next 256th: eight share one random number of 64 bits.
    """
    limit = round(256 * rate)
    if limit == 0:
        return []
    bits = rng.integers(0, 2**64, -(-num_layers * size * dim // 8), dtype=np.uint64).view(np.uint8)
    kept = bits[: num_layers * size * dim].reshape(num_layers, size, dim) >= limit
    return list(np.multiply(kept, np.float32(256 / max(256 - limit, 1)), dtype=np.float32))


class HeadPass:
    """One pass: the document vectors of a batch, and the gradients that follow from theirs.

    Attributes:
        vectors: float32 (B, D).
    """

    @torch.no_grad()
    def __init__(self, encoder: Encoder, bags: torch.Tensor, kept: Sequence[torch.Tensor]) -> None:
        """Turn sums of token vectors `bags` (B, D) into document vectors; sigma's iteration goes a step on.

        kept: float32 (B, D) for each layer, the activation's first, or nothing.
        """
        self._encoder, self._bags, self._kept = encoder, bags, kept
        self._z = ACTIVATIONS[encoder.activation](bags)
        if kept:
            self._z *= kept[0]
        self.vectors = self._z
        if encoder.residual is not None:
            encoder.residual.power_step()
            self._sigma = encoder.residual.sigma()
            self._weight = encoder.residual.weight / self._sigma
            self._added = torch.addmm(encoder.residual.bias, self._z, self._weight.T).relu_()
            if kept:
                self._added *= kept[1]
            self.vectors = self._z + self._added

    @torch.no_grad()
    def backward(self, by_vectors: torch.Tensor) -> torch.Tensor:
        """Return the gradient by the bags, (B, D), from that by the vectors; the parameters get theirs.

        The one by W goes through sigma, of which u and v are taken as constant.
        """
        by_z = by_vectors
        if self._encoder.residual is not None:
            by_sum = _where_positive(by_vectors * self._kept[1] if self._kept else by_vectors, self._added)
            by_z = torch.addmm(by_vectors, by_sum, self._weight)
            block, by_weight = self._encoder.residual, by_sum.T @ self._z
            by_sigma = (by_weight * self._weight).sum()
            block.weight.grad = (by_weight - by_sigma * torch.outer(block.u, block.v)) / self._sigma
            block.bias.grad = by_sum.sum(dim=0)
        return _GRADIENTS[self._encoder.activation](by_z * self._kept[0] if self._kept else by_z, self._bags)


def _where_positive(grad: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    masked: torch.Tensor = torch.ops.aten.threshold_backward(grad, values, 0)
    return masked


def _of_gelu(grad: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    by_values: torch.Tensor = torch.ops.aten.gelu_backward(grad, values)
    return by_values


_GRADIENTS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "relu": _where_positive,
    "gelu": _of_gelu,
}
