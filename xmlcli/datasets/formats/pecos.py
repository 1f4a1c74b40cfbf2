"""Read the layout of PECOS: matrices as SciPy's `.npz`, and optional texts.

`Y.trn.npz`, `Y.tst.npz`: documents by labels, every stored value but 0 a label. `X.trn.npz`, `X.tst.npz`: documents
by features. Where there are no features, `X.trn.txt`, `X.tst.txt`: a text a line. `output-items.txt`: a label's name
a line. The matrices may also be called `X_trn.npz` and so on.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmlcli.datasets.formats.raw import FileProblems, RawSplit, check_rows
from xmlcli.datasets.formats.streams import text_lines
from xmlcli.errors import DatasetError
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
    Y = read_matrix(labels, progress)
    Y.data = np.ones_like(Y.data)
    if documents.suffix == ".npz":
        X = read_matrix(documents, progress)
        check_rows(documents, X.shape[0], labels, Y.shape[0])
        return RawSplit(None, X[:max_documents], Y[:max_documents])
    problems = FileProblems(documents)
    texts = text_lines(documents, None, progress, problems)
    problems.raise_if_any()
    check_rows(documents, len(texts), labels, Y.shape[0])
    return RawSplit(texts[:max_documents], None, Y[:max_documents])


def read_matrix(path: Path, progress: Progress = silent) -> sp.csr_matrix:
    """Read a sparse matrix, float32 CSR, sorted, without zeros or repeated entries; nothing in it is unpickled.

    Raises:
        DatasetError: the file is no such matrix, or holds a value that is not finite or an index out of range.
    """
    size = path.stat().st_size
    progress(f"read {path.name}", 0, size)
    try:
        matrix = sp.csr_matrix(sp.load_npz(path), dtype=np.float32)
        matrix.check_format(full_check=True)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path}: no sparse matrix", expected="a file written by scipy.sparse.save_npz", found=str(error)
        ) from error
    if not np.isfinite(matrix.data).all():
        wrong = int(np.flatnonzero(~np.isfinite(matrix.data))[0])
        row = int(np.searchsorted(matrix.indptr, wrong, side="right"))
        raise DatasetError(f"{path}: a value is not finite", where=f"row {row}", found=str(matrix.data[wrong]))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    progress(f"read {path.name}", size, size)
    return matrix
