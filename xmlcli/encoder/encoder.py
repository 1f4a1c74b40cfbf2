"""The document encoder f(x): a weighted sum of token vectors, an activation, and one residual block.

Method as in the authors' code: f(x) = h + dropout(relu(W h + b)) with h = dropout(act(sum_t x_t E_t)), W divided by
its spectral norm. Token vectors of a batch are summed outside autograd's graph (`bag`), so that their gradient stays
sparse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import nn

from xmlcli.config.sections import ModelConfig
from xmlcli.kernels.csr import CsrRows, by_column
from xmlcli.kernels.products import add_up
from xmlcli.machine.torch_threads import one_thread_each
from xmlcli.progress import Progress, silent

_BLOCK = 1024
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class Residual(nn.Module):
    """z + relu(W z / sigma(W) + b), sigma by power iteration, one step each training pass.

    `settled` runs the iteration to its end at the start. Without it the first pass divides by a random number, as the
    authors' code does.
    """

    u: torch.Tensor
    v: torch.Tensor

    def __init__(self, dim: int, *, settled: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("u", F.normalize(torch.randn(dim, generator=generator), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(dim, generator=generator), dim=0))
        if settled:
            for _ in range(15):
                self.power_step()

    @torch.no_grad()
    def power_step(self) -> None:
        """Bring u and v nearer to the singular vectors of the largest singular value."""
        self.v.copy_(F.normalize(self.weight.T @ self.u, dim=0))
        self.u.copy_(F.normalize(self.weight @ self.v, dim=0))

    def sigma(self) -> torch.Tensor:
        """Return the largest singular value of the weight as u and v have it, a scalar."""
        return self.u @ self.weight @ self.v

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z: float32 (B, D) → (B, D)."""
        return z + F.relu(z @ (self.weight / self.sigma()).T + self.bias)


class Encoder(nn.Module):
    """Token vectors (F, D) and the head that turns their weighted sum into a document vector."""

    def __init__(self, num_tokens: int, config: ModelConfig, *, seed: int | None) -> None:
        """Draw the token vectors from Xavier's distribution; a spectral start then sets its own.

        Without a seed they are whatever the memory holds, to be overwritten.
        """
        super().__init__()
        generator = torch.Generator().manual_seed(seed or 0)
        tokens = torch.empty(num_tokens, config.dim)
        if seed is not None:
            nn.init.xavier_uniform_(tokens, gain=nn.init.calculate_gain("relu"), generator=generator)
        self.tokens = nn.Parameter(tokens, requires_grad=False)
        self.activation = config.activation
        self.dropout = config.dropout
        self.residual = (
            Residual(config.dim, settled=config.start == "spectral", generator=generator) if config.residual else None
        )

    @property
    def dim(self) -> int:
        """Embedding width D."""
        return self.tokens.shape[1]

    def head(self, bags: torch.Tensor) -> torch.Tensor:
        """Turn sums of token vectors (B, D) into document vectors (B, D), without dropout."""
        z = ACTIVATIONS[self.activation](bags)
        return z if self.residual is None else self.residual(z)


def bag(X: CsrRows, tokens: torch.Tensor) -> torch.Tensor:
    """Return the weighted sums of token vectors (F, D) of X (B, F), float32 (B, D), on their device."""
    at, offsets, weights = (torch.from_numpy(a).to(tokens.device) for a in (X.indices, X.indptr[:-1], X.data))
    return F.embedding_bag(at, tokens, offsets, mode="sum", per_sample_weights=weights)


@dataclass(frozen=True)
class TokenUse:
    """Which documents of a batch use a token.

    Attributes:
        rows: int64 (U,), the tokens that are used, ascending.
        weights: float32 CSR (U, B), the batch transposed.
    """

    rows: npt.NDArray[np.int64]
    weights: CsrRows

    @staticmethod
    def of(X: CsrRows) -> TokenUse:
        """Transpose X float32 CSR (B, F)."""
        return TokenUse(*by_column(X))

    def gradient(self, grad: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Return the loss's gradient by the tokens `rows[first:last]`, float32 (last - first, D).

        `grad` float32 (B, D) is the gradient by the bags, in C order.
        """
        if grad.device.type != "cpu":
            return self._gradient_on_card(grad, first, last)
        total = np.empty((last - first, grad.shape[1]), np.float32)
        return torch.from_numpy(add_up(self.weights, grad.numpy(), first, last, total))

    def _gradient_on_card(self, grad: torch.Tensor, first: int, last: int) -> torch.Tensor:
        offsets, own = self.weights.indptr[first : last + 1], slice(*self.weights.indptr[[first, last]])
        shape = (last - first, self.weights.shape[1])
        return bag(CsrRows(offsets - offsets[0], self.weights.indices[own], self.weights.data[own], shape), grad)


def encode(encoder: Encoder, X: sp.csr_matrix, *, progress: Progress = silent) -> torch.Tensor:
    """Return the document vectors f(x), float32 (N, D), on the encoder's device."""
    out = torch.empty(X.shape[0], encoder.dim, device=encoder.tokens.device)

    @torch.no_grad()
    def encode_block(start: int) -> None:
        rows = X[start : start + _BLOCK]
        out[start : start + _BLOCK] = encoder.head(bag(rows, encoder.tokens.data))

    with one_thread_each() as pool:
        starts = range(0, X.shape[0], _BLOCK)
        for start, _ in zip(starts, pool.map(encode_block, starts), strict=True):
            progress("encode", min(start + _BLOCK, X.shape[0]), X.shape[0])
    return out


def unit(vectors: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return rows of unit length (zero rows stay zero) as a NumPy array on the CPU."""
    return F.normalize(vectors, dim=1).cpu().numpy()
