"""Ranking metrics of extreme classification, as the field's evaluation scripts compute them.

Every function takes `top`: int32/int64 (n, k), row i the ids of document i's best labels, best first, rows with
fewer than k labels padded at the end with the id L; and `Y`: CSR (n, L), its stored non-zeros the true labels.

* P@k: hits among the first k, divided by k even where a row has fewer labels or predictions.
* nDCG@k: discounted hits over the discount of min(k, |y|) hits.
* PSP@k, PSnDCG@k: the same with each hit weighted by the label's inverse propensity, divided by what the ideal
  ranking would get; a *ratio of means* over the documents, not a mean of ratios.
* R@k: hits among the first k over |y|.
* F1@k: twice the hits among the first k over k + |y|, of each document (example-based).

A document without labels contributes 0 and counts in the mean. Sources: Jain, Prabhu and Varma 2016 for the
propensities (section 4) and propensity-scored losses; the pyxclib package for the exact conventions.
Ties, left open there, are decided here: higher score first, then the smaller label id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.errors import UsageError
from xmlcli.kernels.hits import mark_hits
from xmlcli.machine.threads import over_rows

Ids = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

METRIC_NAMES = ("P", "nDCG", "PSP", "PSnDCG", "R")
"""Those that are measured unasked; `F1` is computed where it is asked for."""
KNOWN_NAMES = (*METRIC_NAMES, "F1")
DEFAULT_KS = (1, 3, 5)


@dataclass(frozen=True)
class Metric:
    """One metric at one cut-off; prints as the field spells it, `PSP@5`."""

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


DEFAULT_METRICS = tuple(Metric(name, k) for name in METRIC_NAMES for k in DEFAULT_KS)


def parse_metric(text: str) -> Metric:
    """Read `psp@5`, in any case.

    Raises:
        UsageError: the name is not known or k is not a positive integer.
    """
    name, _, cut = text.strip().partition("@")
    known = {known.lower(): known for known in KNOWN_NAMES}
    if name.lower() in known and cut.isascii() and cut.isdigit() and int(cut) > 0:
        return Metric(known[name.lower()], int(cut))
    raise UsageError(
        f"unknown metric {text!r}",
        expected=f"NAME@K, NAME one of {', '.join(KNOWN_NAMES)} in any case, K a positive integer; such as psp@5",
    )


def parse_metrics(texts: Iterable[str], ks: Iterable[int] = DEFAULT_KS) -> list[Metric]:
    """Read `psp@5,p@1` and `psp`, which stands for every k of `ks`; each metric once.

    Raises:
        UsageError: a name is not known or k is not a positive integer.
    """
    every = list(ks)
    names = [name.strip() for text in texts for name in text.split(",")]
    found = [parse_metric(n) for name in names for n in ([name] if "@" in name else [f"{name}@{k}" for k in every])]
    return list(dict.fromkeys(found))


def inverse_propensity(Y_train: sp.csr_matrix, a: float, b: float) -> npt.NDArray[np.float32]:
    """Inverse propensity of every label (Jain et al. 2016, eq. 3): w = 1 + C (n + b)^-a, C = (ln N - 1)(b + 1)^a.

    Args:
        Y_train: CSR (N, L), all training rows, those without labels included.
        a, b: constants of the dataset.

    Returns:
        float32 (L,), decreasing in the label's training frequency; ln N for a label seen once.

    Raises:
        ValueError: no training row.
    """
    num_documents = Y_train.shape[0]
    if num_documents < 1:
        raise ValueError("inverse propensities need at least one training row")
    frequency = _positives(Y_train).getnnz(axis=0).astype(np.float64)
    scale = (np.log(num_documents) - 1.0) * (b + 1.0) ** a
    return np.asarray(1.0 + scale * (frequency + b) ** -a, dtype=np.float32)


def evaluate_top_k(
    top: Ids,
    Y: sp.csr_matrix,
    inverse_propensity: Floats,
    metrics: Iterable[Metric] = DEFAULT_METRICS,
) -> dict[str, float]:
    """Every metric asked for, in percent, keyed as it prints.

    Args:
        top: int (n, k), padded with L; ids of a row differ.
        Y: CSR (n, L) true labels.
        inverse_propensity: float (L,).
        metrics: cut-offs up to k.

    Raises:
        ValueError: shapes disagree, an id is outside 0..L, a row repeats a label, or a cut-off exceeds k.
    """
    sums = sums_by_document(top, Y, inverse_propensity, metrics)
    return {name: 100.0 * _ratio(float(part.sum()), float(whole.sum())) for name, (part, whole) in sums.items()}


def sums_by_document(
    top: Ids,
    Y: sp.csr_matrix,
    inverse_propensity: Floats,
    metrics: Iterable[Metric] = DEFAULT_METRICS,
) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """What each document adds to the two sums whose ratio a metric is, float64 (n,) each, by the metric's name.

    Arguments and errors are those of `evaluate_top_k`.
    """
    wanted = list(metrics)
    depth = max((metric.k for metric in wanted), default=0)
    _check(top, Y, inverse_propensity, depth)
    truth = _positives(Y)
    weights = np.append(inverse_propensity.astype(np.float64), 0.0)  # (L + 1,), the padding id weighs nothing
    hits = hit_matrix(top[:, :depth], truth).astype(np.float64)
    ideal = _ideal_gains(truth, weights, depth) if any(m.name.startswith("PS") for m in wanted) else hits
    weighted = hits * weights[top[:, :depth]]
    num_true = np.diff(truth.indptr)
    return {str(m): _sums(m, hits, weighted, ideal, num_true) for m in wanted}


def describe(Y: sp.csr_matrix, frequencies: Floats) -> dict[str, int | float]:
    """Return of what figures are: how many documents, how many labels they carry, and the share of these labels that
    no training document carries, which no ranking can hold.

    Y: CSR (n, L); frequencies: float32 (L,), training documents of each label.
    """
    unseen = int((frequencies[Y.indices] == 0).sum())
    return {"documents": Y.shape[0], "labels": Y.nnz, "unseen_labels": round(unseen / max(Y.nnz, 1), 6)}


def f1_scores(predicted: sp.csr_matrix, Y: sp.csr_matrix) -> dict[str, float]:
    """F1, precision and recall of sets of labels, in percent.

    `micro`: over all pairs of document and label; `macro`: the mean over the labels that a document has or is given;
    `example`: the mean over documents, 1 where a document neither has nor is given a label.

    Args:
        predicted: CSR (n, L), its stored non-zeros the labels given.
        Y: CSR (n, L) true labels.
    """
    given, truth = _positives(predicted).astype(bool), _positives(Y).astype(bool)
    right = given.multiply(truth).tocsr()
    counts = {name: float(matrix.nnz) for name, matrix in (("given", given), ("true", truth), ("right", right))}

    def mean_f1(axis: int) -> float:
        hits, size = right.getnnz(axis=axis), given.getnnz(axis=axis) + truth.getnnz(axis=axis)
        if axis == 0:
            hits, size = hits[size > 0], size[size > 0]
        return float(np.where(size > 0, 2 * hits / np.maximum(size, 1), 1.0).mean()) if len(size) else 0.0

    return {
        "micro F1": 100 * _ratio(2 * counts["right"], counts["given"] + counts["true"]),
        "macro F1": 100 * mean_f1(0),
        "example F1": 100 * mean_f1(1),
        "precision": 100 * _ratio(counts["right"], counts["given"]),
        "recall": 100 * _ratio(counts["right"], counts["true"]),
    }


def hit_matrix(top: Ids, Y: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Return whether each of `top` is a true label of its row, bool (n, k). `Y` stores no zero."""
    hits, L = np.zeros(top.shape, np.bool_), Y.shape[1]
    over_rows(len(top), lambda first, last: mark_hits(top, Y.indptr, Y.indices, L, first, last, hits), cost=1e4)
    return hits


def drop_filtered(top: Ids, pairs: Ids, num_labels: int) -> Ids:
    """Remove the (document, label) pairs of a filter file from a ranking.

    Later labels of the row move up, nothing is fetched to fill the gap: the row ends in padding, as when the pair
    had never been among the k retrieved.

    Args:
        top: int (n, k), padded with `num_labels`.
        pairs: int (m, 2), row and label.

    Returns:
        A new array of the shape and dtype of `top`.
    """
    filtered = sp.csr_matrix((np.ones(len(pairs), np.bool_), pairs.T), shape=(len(top), num_labels + 1))
    kept = top.copy()
    kept[hit_matrix(top, filtered)] = num_labels
    order = np.argsort(kept == num_labels, axis=1, kind="stable")
    kept[:] = np.take_along_axis(kept, order, axis=1)
    return kept


def _sums(
    metric: Metric,
    hits: npt.NDArray[np.float64],
    weighted: npt.NDArray[np.float64],
    ideal: npt.NDArray[np.float64],
    num_true: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The two sums of a metric by document, from the (n, depth) gains of the ranking and of the ideal ranking."""
    k, ones = metric.k, np.ones(len(hits))
    if metric.name == "P":
        return hits[:, :k].sum(axis=1), k * ones
    if metric.name == "R":
        return hits[:, :k].sum(axis=1) / np.maximum(num_true, 1), ones
    if metric.name == "F1":
        return 2 * hits[:, :k].sum(axis=1) / (k + num_true), ones
    if metric.name == "nDCG":
        return _discounted(hits, num_true, k), ones
    if metric.name == "PSP":
        return weighted[:, :k].sum(axis=1), ideal[:, :k].sum(axis=1)
    return _discounted(weighted, num_true, k), _discounted(ideal, num_true, k)


def _discounted(gains: npt.NDArray[np.float64], num_true: npt.NDArray[np.int32], k: int) -> npt.NDArray[np.float64]:
    """float64 (n,): sum of gain/log2(rank + 1) over the first k, divided by that sum for min(k, |y|) gains of 1."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(discount)[np.clip(num_true, 1, k) - 1]
    scaled: npt.NDArray[np.float64] = gains[:, :k] @ discount / best
    return scaled


def _ideal_gains(Y: sp.csr_matrix, weights: npt.NDArray[np.float64], depth: int) -> npt.NDArray[np.float64]:
    """float64 (n, depth): the weights of each row's true labels, largest first, then 0."""
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    gains = weights[Y.indices]
    order = np.lexsort((-gains, rows))
    rank = np.arange(len(order)) - Y.indptr[rows]
    near = rank < depth
    ideal = np.zeros((Y.shape[0], depth))
    ideal[rows[near], rank[near]] = gains[order][near]
    return ideal


def _positives(Y: sp.csr_matrix) -> sp.csr_matrix:
    """`Y` with sorted indices, no duplicate and no stored zero; the same object where it is so already."""
    if Y.has_canonical_format and np.all(Y.data):
        return Y
    clean = sp.csr_matrix(Y, copy=True)
    clean.sum_duplicates()
    clean.eliminate_zeros()
    return clean


def _ratio(part: float, whole: float) -> float:
    """part / whole, 0 where there is nothing to get."""
    return part / whole if whole > 0.0 else 0.0


def _check(top: Ids, Y: sp.csr_matrix, inverse_propensity: Floats, depth: int) -> None:
    """Raise ValueError where the arguments of `evaluate_top_k` disagree."""
    num_rows, num_labels = Y.shape
    if top.ndim != 2 or len(top) != num_rows or inverse_propensity.shape != (num_labels,):
        raise ValueError(f"top {top.shape} and propensities {inverse_propensity.shape} do not fit Y {Y.shape}")
    if depth > top.shape[1]:
        raise ValueError(f"a metric at k={depth} needs as many labels a document, found {top.shape[1]}")
    if top.size and (int(top.min()) < 0 or int(top.max()) > num_labels):
        raise ValueError(f"label ids must lie in 0..{num_labels}, found {top.min()}..{top.max()}")
    ranked = np.sort(top, axis=1)
    if ((ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] < num_labels)).any():
        raise ValueError("a row of the ranking names a label twice")
