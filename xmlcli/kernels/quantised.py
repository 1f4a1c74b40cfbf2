"""Quantised sparse matrices of an exported model: a byte a value, and one float32 scale a row.

A value is `scale * q` as in `products.QuantisedDense`. On disk the columns of a row are the differences of their
ascending ids as variable-length integers (seven bits a byte, the eighth says that more follow, as in LEB128); in memory
they are uint16 or uint32, whichever fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats, Longs
from xmlcli.errors import ArtifactError
from xmlcli.kernels.compiled import kernel
from xmlcli.kernels.products import scales
from xmlcli.kernels.row_scores import SparseRows

Arrays = Mapping[str, Array]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class QuantisedRows:
    """A sparse matrix with rows of ascending columns, and perhaps a bias a row.

    Attributes:
        offsets: int64 (R + 1,), where each row begins.
        columns: uint16 or uint32 (nnz,).
        values: int8 (nnz,); scale: float32 (R,).
        bias: float32 (R,), zeros where there is none.
        num_columns: F.
    """

    offsets: Longs
    columns: Array
    values: npt.NDArray[np.int8]
    scale: Floats
    bias: Floats
    num_columns: int

    @staticmethod
    def of(W: sp.csr_matrix, *, num_columns: int) -> QuantisedRows:
        """Quantise W float32 CSR (R, F), or (R, F + 1) with a last column of biases; F is `num_columns`."""
        W = W if W.has_sorted_indices else W.sorted_indices()
        rows = np.repeat(np.arange(W.shape[0]), np.diff(W.indptr))
        bias, inner = np.zeros(W.shape[0], np.float32), W.indices < num_columns
        bias[rows[~inner]] = W.data[~inner]
        rows, columns, data = rows[inner], W.indices[inner], W.data[inner]
        largest = np.zeros(W.shape[0], np.float32)
        np.maximum.at(largest, rows, np.abs(data))
        scale = scales(largest)
        values = np.rint(data / scale[rows]).astype(np.int8)
        kept = values != 0
        offsets = np.append(0, np.cumsum(np.bincount(rows[kept], minlength=W.shape[0])))
        return QuantisedRows(
            offsets, columns[kept].astype(_column_type(num_columns)), values[kept], scale, bias, num_columns
        )

    def floats(self) -> sp.csr_matrix:
        """Return float32 CSR (R, F), without the biases."""
        data = self.values.astype(np.float32)
        data *= np.repeat(self.scale, np.diff(self.offsets))
        columns = self.columns.astype(np.int32)
        return sp.csr_matrix((data, columns, self.offsets), shape=(len(self.scale), self.num_columns))

    def rows(self) -> SparseRows:
        """Return what `row_scores.score_rows` takes, without copying it."""
        return SparseRows(self.offsets, self.columns, self.values, self.scale, self.bias)

    def to_arrays(self) -> dict[str, Array]:
        """Return what `from_arrays` takes, as small as it gets."""
        stream = np.empty(5 * len(self.columns), np.uint8)  # of 31 bits, at most
        length = _encode(self.offsets, self.columns, stream)
        counts = np.diff(self.offsets).astype(np.uint32)
        arrays: dict[str, Array] = {
            "columns": stream[:length].copy(),
            "counts": counts,
            "values": self.values,
            "scale": self.scale,
        }
        return arrays | ({"bias": self.bias} if self.bias.any() else {})

    @staticmethod
    def from_arrays(arrays: Arrays, *, num_columns: int) -> QuantisedRows:
        """Undo `to_arrays`; ArtifactError where the columns do not fit the rest."""
        offsets = np.append(0, np.cumsum(arrays["counts"], dtype=np.int64))
        values, scale = arrays["values"], arrays["scale"]
        columns = np.empty(len(values), _column_type(num_columns))
        good = offsets[-1] == len(values) and len(scale) == len(offsets) - 1
        if not good or not _decode(arrays["columns"], offsets, columns, num_columns):
            raise ArtifactError(
                "a sparse matrix is damaged", expected=f"{len(values):,} columns below {num_columns:,}", found="others"
            )
        bias = arrays.get("bias", np.zeros(len(scale), np.float32))
        return QuantisedRows(offsets, columns, values, scale, bias, num_columns)


def _column_type(num_columns: int) -> type[np.uint16] | type[np.uint32]:
    return np.uint16 if num_columns <= 1 << 16 else np.uint32


@kernel
def _encode(offsets: Longs, columns: Array, stream: Bytes) -> int:
    """Write the columns' differences, row by row; return how many bytes."""
    at = 0
    for row in range(len(offsets) - 1):
        before = np.int64(-1)
        for p in range(offsets[row], offsets[row + 1]):
            rest = np.int64(columns[p]) - before - 1
            before = np.int64(columns[p])
            while rest >= 128:
                stream[at] = np.uint8((rest & 127) | 128)
                rest >>= 7
                at += 1
            stream[at] = np.uint8(rest)
            at += 1
    return at


@kernel
def _decode(stream: Bytes, offsets: Longs, columns: Array, num_columns: int) -> bool:
    """Read what `_encode` wrote; return whether all of it made columns in range."""
    at = 0
    for row in range(len(offsets) - 1):
        column = np.int64(-1)
        for p in range(offsets[row], offsets[row + 1]):
            rest, shift, more = np.int64(0), 0, True
            while more:
                if at >= len(stream) or shift > 28:
                    return False
                byte = np.int64(stream[at])
                rest |= (byte & 127) << shift
                more = bool(byte >= 128)
                shift += 7
                at += 1
            column += rest + 1
            if column >= num_columns:
                return False
            columns[p] = column
    return at == len(stream)
