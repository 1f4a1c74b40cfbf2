"""Rows of features that a caller of the library gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import first_not_finite
from xmlcli.errors import UsageError


def given_rows(documents: Any) -> sp.csr_matrix:
    """Return a sparse or dense matrix as float32 CSR (N, F), sorted, repeated entries added; it is left as it is.

    Raises UsageError where an index is out of range, or a value is not finite as float32: kernels believe both.
    """
    with np.errstate(over="ignore"):  # what overflows is infinite, and told below
        X = sp.csr_matrix(documents, dtype=np.float32)
    try:
        X.check_format(full_check=True)
    except ValueError as error:
        raise UsageError("documents are no valid sparse matrix", found=str(error)) from error
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    at = first_not_finite(X.data)
    if at is None:
        return X
    row = int(np.searchsorted(X.indptr, at, side="right")) - 1
    found = f"{X.data[at]} in column {X.indices[at]}"
    raise UsageError("a feature is not finite", where=f"documents[{row}]", expected="numbers of 32 bits", found=found)
