"""Read the repository's layout of small collections: all documents in one file, and the rows of each split in others.

`*_data.txt` has the bag-of-words layout. `*_trSplit.txt` and `*_tstSplit.txt` hold line numbers, from 1. Each of their
columns is a random split; the first column is used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from xmlcli.datasets.formats import xmc_text
from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit, ReadSplits
from xmlcli.datasets.formats.streams import numbered_lines
from xmlcli.datasets.formats.xmc_lines import MOST_DIGITS
from xmlcli.progress import Progress, silent


def read_splits(
    data: Path, train: Path, test: Path, *, max_documents: int | None = None, progress: Progress = silent
) -> ReadSplits:
    """Read both splits.

    Raises:
        DatasetError: a file is malformed, or a split names a document that is not there.
    """
    whole = xmc_text.read_split(data, progress=progress)
    assert whole.X is not None
    rows = _read_rows(train, whole.Y.shape[0])[:max_documents], _read_rows(test, whole.Y.shape[0])
    splits = [RawSplit(None, whole.X[chosen], whole.Y[chosen]) for chosen in rows]
    return ReadSplits(splits[0], splits[1])


def _read_rows(path: Path, num_documents: int) -> npt.NDArray[np.int64]:
    """Return the rows of the first split, counted from 0, int64 (n,)."""
    problems = FileProblems(path)
    rows: list[int] = []
    for number, line in numbered_lines(path, None, silent):
        fields = line.split()
        is_number = bool(fields) and fields[0].isdigit() and len(fields[0]) <= MOST_DIGITS
        if is_number and 1 <= int(fields[0]) <= num_documents:
            rows.append(int(fields[0]) - 1)
        elif fields:
            problems.add(number, f"a document's number, 1 to {num_documents:,}", repr(line[:40].decode("latin-1")))
    problems.raise_if_any()
    return np.array(rows, dtype=np.int64)
