"""Read the repository's split layout: features and labels of a split in files of their own.

`trn_X_Xf.txt`: a first line `documents features`, then a line a document, `f:v f:v ...`. `trn_X_Y.txt`: the same of
labels; a pair of value 0 is no label. `tst_...` likewise. `Xf.txt` and `Y.txt` hold a name a line. In place of
features there may be texts, `trn_X.txt`, one document a line.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit, check_rows
from xmlcli.datasets.formats.streams import text_lines
from xmlcli.datasets.formats.xmc_lines import Header
from xmlcli.datasets.formats.xmc_text import counts, feature_matrix, read_rows
from xmlcli.progress import Progress, silent


def read_split(
    documents: Path, labels: Path, *, max_documents: int | None = None, progress: Progress = silent
) -> RawSplit:
    """Read one split.

    Args:
        documents: `*_X_Xf.txt`, or a file of texts under any other name.
        labels: `*_X_Y.txt`.
        max_documents, progress: as for the one-file layout.

    Raises:
        DatasetError: a file is malformed, or the two have different numbers of documents.
    """
    Y = _read_matrix(labels, "label", max_documents, progress)
    Y.data = np.ones_like(Y.data)
    if documents.stem.endswith("_Xf"):
        X = _read_matrix(documents, "feature", max_documents, progress)
        check_rows(documents, X.shape[0], labels, Y.shape[0])
        return RawSplit(None, X, Y)
    problems = FileProblems(documents)
    texts = text_lines(documents, max_documents, progress, problems)
    problems.raise_if_any()
    check_rows(documents, len(texts), labels, Y.shape[0])
    return RawSplit(texts, None, Y)


def _read_matrix(path: Path, noun: str, max_documents: int | None, progress: Progress) -> sp.csr_matrix:
    def head(path: Path, line: bytes) -> Header:
        num_documents, num_columns = counts(path, line, ("documents", f"{noun}s"))
        return Header(num_documents, num_columns, 0, noun)

    rows, header = read_rows(path, head, max_documents=max_documents, progress=progress)
    return feature_matrix(rows, header.num_features)
