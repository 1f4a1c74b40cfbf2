"""The document encoder f(x) for prediction: NumPy alone, of trained tensors, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.special import erf

from xmlcli.arrays import Floats
from xmlcli.kernels.products import Table, sparse_product, transposed_product, unit_rows
from xmlcli.machine.threads import over_rows

_BLOCK = 16_384


@dataclass(frozen=True)
class DocumentEncoder:
    """The encoder of `xmlcli.encoder.encoder` for prediction: f(x) = z + relu(W z + b) with z = act(sum_t x_t E_t).

    Attributes:
        tokens: E, (F, D).
        residual: W divided by its spectral norm, float32 (D, D), and b, float32 (D,), or None.
        activation: gelu or relu.
        product: of vectors (N, D) and the transpose of W, by default the fastest; with `product_by_row` what a
            document is turned into does not depend on the documents beside it, down to the last bit.
    """

    tokens: Table
    residual: tuple[Floats, Floats] | None
    activation: str
    product: Callable[[Floats, Floats], Floats] = transposed_product

    @staticmethod
    def of(tensors: Mapping[str, Floats], activation: str) -> DocumentEncoder:
        """Take the encoder out of the tensors of a trained model, by name, as arrays."""
        residual = None
        if "encoder.residual.weight" in tensors:
            W, u, v = (tensors[f"encoder.residual.{name}"] for name in ("weight", "u", "v"))
            residual = ((W / (u @ W @ v)).astype(np.float32), tensors["encoder.residual.bias"])
        return DocumentEncoder(tensors["encoder.tokens"], residual, activation)

    def __call__(self, X: sp.csr_matrix) -> Floats:
        """Return f(x) of X float32 CSR (N, F): float32 (N, D)."""
        z = sparse_product(X, self.tokens)
        over_rows(len(z), lambda first, last: self._activate(z[first:last]), cost=100 * z.shape[1])
        if self.residual is None:
            return z
        W, b = self.residual
        vectors = self.product(z, W)
        vectors += b
        np.maximum(vectors, 0, out=vectors)
        vectors += z
        return vectors

    def unit(self, X: sp.csr_matrix) -> Floats:
        """Return f(x) scaled to unit length, float32 (N, D); zero rows stay zero.

        X: float32 CSR (N, F), of so many documents as there may be.
        """
        vectors = np.empty((X.shape[0], self.tokens.shape[1]), np.float32)
        for start in range(0, X.shape[0], _BLOCK):
            vectors[start : start + _BLOCK] = unit_rows(self(X[start : start + _BLOCK]))
        return vectors

    def _activate(self, bags: Floats) -> None:
        """Apply act to bags (n, D), in place."""
        if self.activation == "relu":
            np.maximum(bags, 0, out=bags)
        else:
            bags *= 0.5 + 0.5 * erf(bags * np.float32(0.5**0.5))
