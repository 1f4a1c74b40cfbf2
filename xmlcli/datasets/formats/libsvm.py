"""Read LIBSVM's multi-label layout: lines `l1,l2 f:v f:v ...` without a header, also `.bz2` and `.gz`.

Features keep their numbers, so column 0 is empty if they count from 1. Labels are whole numbers, taken as names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xmlcli.datasets.formats.named import NamedFile, NamedRows, NameTable
from xmlcli.datasets.formats.xmc_text import feature_matrix, read_rows
from xmlcli.progress import Progress, silent


def read_split(
    path: Path, table: NameTable, *, max_documents: int | None = None, progress: Progress = silent
) -> NamedFile:
    """Read one file; its matrix has as many columns as the largest feature needs.

    Raises:
        DatasetError: the file is malformed; all its problems are counted, the first ten shown.
    """
    rows, _ = read_rows(path, None, max_documents=max_documents, progress=progress)
    X = feature_matrix(rows, int(rows.features.max(initial=-1)) + 1)
    named = NamedRows(table)
    ends = np.cumsum(rows.label_counts)
    for start, end in zip(ends - rows.label_counts, ends, strict=True):
        named.add_labels(map(str, rows.labels[start:end].tolist()))
    return NamedFile(named, X)
