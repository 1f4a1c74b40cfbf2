"""Names for the arrays that pass through the program, and where one is not finite."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int32]
"""Ids of labels and documents, and CSR indices."""
Longs: TypeAlias = npt.NDArray[np.int64]
"""Row numbers and offsets."""
Bools: TypeAlias = npt.NDArray[np.bool_]


def first_not_finite(values: Array) -> int | None:
    """Return where the first NaN or infinity stands. No copy is made of values that are all finite."""
    if not len(values) or (np.isfinite(values.min()) and np.isfinite(values.max())):
        return None
    return int(np.argmin(np.isfinite(values)))
