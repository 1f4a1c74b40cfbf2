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

from xmlcli.config import ModelConfig
from xmlcli.progress import Progress, silent

_BLOCK = 4096
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class Residual(nn.Module):
    """z + dropout(relu(W z / sigma(W) + b)), sigma by power iteration, one step each training pass.

    `settled` runs the iteration to its end at the start. Without it the first pass divides by a random number, as the
    authors' code does (method notes, D2).
    """

    u: torch.Tensor
    v: torch.Tensor

    def __init__(self, dim: int, dropout: float, *, settled: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.dropout = dropout
        self.register_buffer("u", F.normalize(torch.randn(dim, generator=generator), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(dim, generator=generator), dim=0))
        if settled:
            for _ in range(15):
                self._power_step()

    @torch.no_grad()
    def _power_step(self) -> None:
        self.v.copy_(F.normalize(self.weight.T @ self.u, dim=0))
        self.u.copy_(F.normalize(self.weight @ self.v, dim=0))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z: float32 (B, D) → (B, D)."""
        if self.training:
            self._power_step()
        sigma = self.u.clone() @ self.weight @ self.v.clone()
        return z + F.dropout(F.relu(z @ (self.weight / sigma).T + self.bias), self.dropout, self.training)


class Encoder(nn.Module):
    """Token vectors (F, D) and the head that turns their weighted sum into a document vector."""

    def __init__(self, num_tokens: int, config: ModelConfig, *, seed: int) -> None:
        """Draw the token vectors from Xavier's distribution; a spectral start then sets its own."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.empty(num_tokens, config.dim)
        nn.init.xavier_uniform_(tokens, gain=nn.init.calculate_gain("relu"), generator=generator)
        self.tokens = nn.Parameter(tokens, requires_grad=False)
        self.activation = config.activation
        self.dropout = config.dropout
        self.residual = (
            Residual(config.dim, config.dropout, settled=config.start == "spectral", generator=generator)
            if config.residual
            else None
        )

    @property
    def dim(self) -> int:
        """Embedding width D."""
        return self.tokens.shape[1]

    def head(self, bags: torch.Tensor) -> torch.Tensor:
        """Turn sums of token vectors (B, D) into document vectors (B, D)."""
        z = F.dropout(_ACTIVATIONS[self.activation](bags), self.dropout, self.training)
        return z if self.residual is None else self.residual(z)


@dataclass(frozen=True)
class Batch:
    """CSR rows as `embedding_bag` wants them: `tokens` int64 (nnz,), `offsets` int64 (B,), `weights` float32 (nnz,)."""

    tokens: torch.Tensor
    offsets: torch.Tensor
    weights: torch.Tensor

    @staticmethod
    def of(X: sp.csr_matrix, device: torch.device) -> Batch:
        """Put the rows of X float32 CSR (B, F) on the device."""
        return Batch(
            torch.from_numpy(X.indices.astype(np.int64)).to(device),
            torch.from_numpy(X.indptr[:-1].astype(np.int64)).to(device),
            torch.from_numpy(X.data).to(device),
        )

    def bag(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the weighted sums of token vectors, (B, D)."""
        return F.embedding_bag(self.tokens, tokens, self.offsets, mode="sum", per_sample_weights=self.weights)


def token_gradient(X: sp.csr_matrix, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows int64 (U,) of the token table that a batch X (B, F) touches, and their gradient (U, D).

    `grad` float32 (B, D) is the loss's gradient by the bags.
    """
    rows, local = np.unique(X.indices, return_inverse=True)
    if grad.device.type == "cpu":
        transposed = sp.csr_matrix((X.data, local, X.indptr), shape=(X.shape[0], len(rows))).T.tocsr()
        total = torch.from_numpy(transposed @ grad.numpy())
    else:
        documents = torch.from_numpy(np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))).to(grad.device)
        weights = torch.from_numpy(X.data).to(grad.device)[:, None]
        places = torch.from_numpy(local).to(grad.device)
        total = torch.zeros(len(rows), grad.shape[1], device=grad.device)
        total.index_add_(0, places, weights * grad[documents])
    return torch.from_numpy(rows.astype(np.int64)).to(grad.device), total


@torch.no_grad()
def encode(encoder: Encoder, X: sp.csr_matrix, *, progress: Progress = silent) -> torch.Tensor:
    """Return the document vectors f(x), float32 (N, D), in evaluation mode on the encoder's device."""
    encoder.eval()
    out = torch.empty(X.shape[0], encoder.dim, device=encoder.tokens.device)
    for start in range(0, X.shape[0], _BLOCK):
        rows = X[start : start + _BLOCK]
        out[start : start + _BLOCK] = encoder.head(Batch.of(rows, out.device).bag(encoder.tokens))
        progress("encode", start + rows.shape[0], X.shape[0])
    return out


def unit(vectors: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return rows of unit length (zero rows stay zero) as a NumPy array on the CPU."""
    return F.normalize(vectors, dim=1).cpu().numpy()
