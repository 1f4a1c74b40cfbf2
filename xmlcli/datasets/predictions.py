"""Read the predictions of another system, rank them as ours are ranked, and measure them.

A file is either a SciPy sparse matrix, `.npz`, test documents by labels, every stored entry the score of a label; or
text, one line a test document, `label:score` pairs separated by white space or commas, in any order. The text may
begin with a line `documents labels`. A label that is not named is never ranked, one of score 0 or below is; an empty
line or row is a document without predictions. Scores stay float64: rounding would make ties.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.datasets.formats.matrices import read_entries
from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawDataset
from xmlcli.datasets.formats.streams import decoded, numbered_lines, plain_suffix
from xmlcli.datasets.formats.xmc_lines import MOST_DIGITS
from xmlcli.errors import DatasetError
from xmlcli.metrics import Metric, drop_filtered, evaluate_top_k, inverse_propensity
from xmlcli.progress import Progress, silent

_SORT_CELLS = 1 << 22
_HEADER = re.compile(r"\s*([0-9]{1,15})\s+([0-9]{1,15})\s*", re.ASCII)


def measure_predictions(
    path: Path, dataset: RawDataset, metrics: Sequence[Metric], *, progress: Progress = silent
) -> dict[str, float]:
    """Return metrics of a file of predictions in percent, as `evaluate_top_k` does for our own rankings.

    Args:
        path: the file.
        dataset: what it is measured on: test labels, and training labels for the inverse propensities.
        metrics: which; at least one.
        progress: told how much of the file is read.

    Raises:
        DatasetError: the file is malformed or does not fit the dataset, or that has no test documents.
    """
    if dataset.test is None or not dataset.test.Y.shape[0] or not dataset.train.Y.shape[0]:
        found = f"{dataset.train.Y.shape[0]:,} and {dataset.test.Y.shape[0] if dataset.test else 0:,}"
        raise DatasetError(
            f"{path}: cannot be measured on this dataset", expected="training and test documents", found=found
        )
    Y = dataset.test.Y
    scores = read_predictions(path, Y.shape[0], Y.shape[1], progress=progress)
    top = rank_predictions(scores, max(metric.k for metric in metrics), dataset.test_filter)
    weights = inverse_propensity(dataset.train.Y, dataset.propensity_a, dataset.propensity_b)
    return evaluate_top_k(top, Y, weights, metrics)


def rank_predictions(
    scores: sp.csr_matrix, k: int, test_filter: npt.NDArray[np.int32] | None = None
) -> npt.NDArray[np.int32]:
    """Return the k best labels of every row, by score, then by label id; filtered pairs are not among them.

    Args:
        scores: CSR (N, L), sorted; what is not stored is not ranked.
        k: labels to return, may exceed L.
        test_filter: int32 (n, 2), row and label never to be ranked.

    Returns:
        int32 (N, k), padded with L.
    """
    if test_filter is None or not len(test_filter):
        return top_k(scores, k)
    most_filtered = int(np.bincount(test_filter[:, 0]).max())
    top = top_k(scores, k + most_filtered)
    return drop_filtered(top, test_filter, scores.shape[1])[:, :k].astype(np.int32)


def top_k(scores: sp.csr_matrix, k: int) -> npt.NDArray[np.int32]:
    """The k best stored entries of every row, by score descending, then label id ascending.

    Args:
        scores: CSR (n, L); a stored 0 or negative value is a candidate, an absent entry never is.
        k: labels to return, may exceed L.

    Returns:
        int32 (n, k), padded with L.

    Raises:
        ValueError: a score is NaN or k is not positive.
    """
    if k < 1:
        raise ValueError(f"k must be positive, found {k}")
    if np.isnan(scores.data).any():
        raise ValueError("scores hold NaN")
    if not scores.has_canonical_format:
        scores = scores.copy()
        scores.sum_duplicates()
    num_rows, num_labels = scores.shape
    top = np.full((num_rows, k), num_labels, dtype=np.int32)
    lengths = np.diff(scores.indptr)
    order = np.argsort(lengths, kind="stable")  # rows of like length share a block, so little of it is padding
    start = 0
    while start < num_rows:
        stop = _block_end(lengths[order], start)
        rows = order[start:stop]
        top[rows] = _top_k_block(scores, rows, k)
        start = stop
    return top


def read_predictions(path: Path, num_rows: int, num_labels: int, *, progress: Progress = silent) -> sp.csr_matrix:
    """Read a file of predictions, plain or compressed.

    Args:
        path: a matrix where it ends in `.npz`, otherwise text.
        num_rows: N, how many test documents there are.
        num_labels: L, ids lie below.
        progress: told bytes done and in all.

    Returns:
        float64 CSR (N, L), sorted, stored zeros kept.

    Raises:
        DatasetError: there is no such file, it is malformed, or not of N documents and L labels; all problems are
            counted, the first ten shown.
    """
    if not path.is_file():
        raise DatasetError(f"no predictions at {path}", expected="a file", found="none of that name")
    if plain_suffix(path) == ".npz":
        return _read_matrix(path, num_rows, num_labels, progress)
    return _read_text(path, num_rows, num_labels, progress)


def _read_matrix(path: Path, num_rows: int, num_labels: int, progress: Progress) -> sp.csr_matrix:
    """Read predictions from a matrix, see `read_predictions`; nothing in it is unpickled."""
    size = path.stat().st_size
    progress(f"read {path.name}", 0, size)
    stored = read_entries(path).tocoo()
    if stored.shape != (num_rows, num_labels):
        raise DatasetError(
            f"{path}: not of the test documents and labels of the dataset",
            expected=f"{num_rows:,} rows, one a test document, and {num_labels:,} columns, one a label",
            found=f"{stored.shape[0]:,} rows and {stored.shape[1]:,} columns",
        )
    keys = stored.row.astype(np.int64) * num_labels + stored.col  # (nnz,) the place of every entry, row by row
    scores = stored.data.astype(np.float64)
    if (np.diff(keys) < 0).any():
        order = np.argsort(keys, kind="stable")
        keys, scores = keys[order], scores[order]
    _check_entries(keys, scores, num_labels, FileProblems(path, "row"))
    progress(f"read {path.name}", size, size)
    rows, labels = np.divmod(keys, max(num_labels, 1))
    return _matrix(np.bincount(rows, minlength=num_rows), labels.astype(np.int32), scores, num_labels)


def _check_entries(
    keys: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], num_labels: int, problems: FileProblems
) -> None:
    """Raise where an entry is not finite or stored twice; `keys` ascend."""
    repeats = np.zeros(len(keys), dtype=np.bool_)
    repeats[1:] = keys[1:] == keys[:-1]
    for at in np.flatnonzero(repeats | ~np.isfinite(scores)):
        row, label = divmod(int(keys[at]), num_labels)
        if repeats[at]:
            problems.add(row + 1, "each label once", f"{label} again")
        else:
            problems.add(row + 1, "a finite score", f"{scores[at]} of label {label}")
    problems.raise_if_any()


def _read_text(path: Path, num_rows: int, num_labels: int, progress: Progress) -> sp.csr_matrix:
    """Read predictions from lines of text, see `read_predictions`."""
    problems = FileProblems(path)
    counts, labels, scores = array("q"), array("i"), array("d")
    first_row, blank_end = 1, 0  # the line of the first document; lines without a pair since the last line with one
    for number, line in numbered_lines(path, None, progress):
        text = decoded(line, number, problems) or ""
        header = _HEADER.fullmatch(text) if number == 1 else None
        if header:
            _check_header(header, num_rows, num_labels, problems)
            first_row = 2
            continue
        row = _parse_pairs(text, number, num_labels, problems)
        counts.append(len(row))
        labels.extend(row.keys())
        scores.extend(row.values())
        blank_end = 0 if text.strip() else blank_end + 1
    if len(counts) - blank_end <= num_rows < len(counts):
        del counts[num_rows:]
    if len(counts) != num_rows:
        expected = f"{num_rows:,} lines of predictions, one a test document"
        problems.add(first_row + min(len(counts), num_rows), expected, f"{len(counts):,}")
    problems.raise_if_any()
    return _matrix(np.array(counts), np.array(labels), np.array(scores), num_labels)


def _check_header(header: re.Match[str], num_rows: int, num_labels: int, problems: FileProblems) -> None:
    """Note a first line `documents labels` that says something else than the dataset."""
    if (int(header[1]), int(header[2])) != (num_rows, num_labels):
        expected = f"{num_rows} {num_labels}, the test documents and labels of the dataset"
        problems.add(1, expected, repr(header[0]))


def _parse_pairs(text: str, number: int, num_labels: int, problems: FileProblems) -> dict[int, float]:
    """Return the scores of a line by label; malformed pairs are noted and left out."""
    row: dict[int, float] = {}
    for pair in text.replace(",", " ").split():
        label_text, _, score_text = pair.partition(":")
        label, score = _parse_label(label_text, num_labels), _parse_score(score_text)
        if label is None:
            problems.add(number, f"label:score with a label id below {num_labels:,}", repr(pair))
        elif score is None:
            problems.add(number, "label:score with a finite score", repr(pair))
        elif label in row:
            problems.add(number, "each label once", f"{label} again in {pair!r}")
        else:
            row[label] = score
    return row


def _parse_label(text: str, num_labels: int) -> int | None:
    """An id below `num_labels`, or None."""
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        return None
    return label if (label := int(text)) < num_labels else None


def _parse_score(text: str) -> float | None:
    """Return a finite number, or None."""
    try:
        score = float(text)
    except ValueError:
        return None
    return score if math.isfinite(score) and "_" not in text else None


def _matrix(
    counts: npt.NDArray[np.int64], labels: npt.NDArray[np.int32], scores: npt.NDArray[np.float64], num_labels: int
) -> sp.csr_matrix:
    """Return sorted float64 CSR (N, num_labels) from the labels and scores of all rows in order."""
    indptr = np.concatenate([[0], np.cumsum(counts)])
    matrix = sp.csr_matrix((scores, labels, indptr), shape=(len(counts), num_labels))
    matrix.sort_indices()
    return matrix


def _top_k_block(scores: sp.csr_matrix, rows: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int32]:
    """`top_k` of the rows named, int32 (len(rows), k), by a stable sort of a padded rectangle."""
    num_labels = scores.shape[1]
    starts, lengths = scores.indptr[rows], np.diff(scores.indptr)[rows]
    width = int(lengths.max(initial=0))
    top = np.full((len(rows), k), num_labels, dtype=np.int32)
    if width == 0:
        return top
    columns = np.arange(width)
    present = columns < lengths[:, None]
    cells = np.where(present, starts[:, None].astype(np.int64) + columns, 0)
    # A padding cell stands behind every stored one, even one of score -inf, because the sort is stable.
    keys = np.where(present, -scores.data[cells].astype(np.float64), np.inf)
    order = np.argsort(keys, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(np.where(present, scores.indices[cells], num_labels), order, axis=1)
    top[:, : best.shape[1]] = best
    return top


def _block_end(lengths: npt.NDArray[np.int32], start: int) -> int:
    """End of the block of ascending `lengths` from `start` whose padded rectangle stays within `_SORT_CELLS`."""
    most = start + _SORT_CELLS // max(int(lengths[start]), 1)
    stop = min(len(lengths), max(most, start + 1))
    while stop > start + 1 and (stop - start) * int(lengths[stop - 1]) > 2 * _SORT_CELLS:
        stop = start + (stop - start) // 2
    return max(stop, start + 1)
