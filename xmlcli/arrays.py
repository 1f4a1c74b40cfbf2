"""Names for the arrays that pass through the program."""

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
