"""Read the layout of PECOS: matrices as SciPy's `.npz`, and optional texts.

`Y.trn.npz`, `Y.tst.npz`: documents by labels, every stored value but 0 a label. `X.trn.npz`, `X.tst.npz`: documents
by features. Where there are no features, `X.trn.txt`, `X.tst.txt`: a text a line. `output-items.txt`: a label's name
a line. The matrices may also be called `X_trn.npz` and so on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmlcli.datasets.formats.matrices import read_matrix
from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit, check_rows
from xmlcli.datasets.formats.streams import text_lines
from xmlcli.progress import Progress, silent


def read_split(
    documents: Path, labels: Path, *, max_documents: int | None = None, progress: Progress = silent
) -> RawSplit:
    """Read one split.

    Args:
        documents: `X.*.npz` or `X.*.txt`.
        labels: `Y.*.npz`.
        max_documents: keep only so many of the first documents.
        progress: told what is read.

    Raises:
        DatasetError: a file is damaged, or the two have different numbers of documents.
    """
    Y = _read(labels, progress)
    Y.data = np.ones_like(Y.data)
    if documents.suffix == ".npz":
        X = _read(documents, progress)
        check_rows(documents, X.shape[0], labels, Y.shape[0])
        return RawSplit(None, X[:max_documents], Y[:max_documents])
    problems = FileProblems(documents)
    texts = text_lines(documents, None, progress, problems)
    problems.raise_if_any()
    check_rows(documents, len(texts), labels, Y.shape[0])
    return RawSplit(texts[:max_documents], None, Y[:max_documents])


def _read(path: Path, progress: Progress) -> sp.csr_matrix:
    matrix = read_matrix(path, progress)
    matrix.eliminate_zeros()
    return matrix
