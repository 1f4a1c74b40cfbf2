"""Rankings of the same test documents by several systems, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Doubles, Floats, Ints, Longs
from xmlcli.metrics import Metric, hit_matrix, sums_by_document

_UP_TO = (0, 1, 5, 10, 100, 1000)
"""Upper ends of the bins of training documents a label; the last bin is open."""


@dataclass(frozen=True)
class Truth:
    """What rankings are measured on.

    Attributes:
        Y: CSR (n, L), the true labels of the test documents, stored non-zeros.
        inverse_propensity: float32 (L,).
        frequencies: int64 (L,), training documents of each label.
        names: of the labels, or None.
        test_filter: int32 (m, 2), pairs of test document and label that are never ranked, or None.
    """

    Y: sp.csr_matrix
    inverse_propensity: Floats
    frequencies: Longs
    names: Sequence[str] | None = None
    test_filter: Ints | None = None

    def same_as(self, other: Truth) -> bool:
        """Whether the test documents have the same true labels, in the same order."""
        a, b = self.Y, other.Y
        return bool(
            a.shape == b.shape
            and np.array_equal(a.indptr, b.indptr)
            and np.array_equal(a.indices, b.indices)
            and self.names == other.names
        )

    def name(self, label: int) -> str:
        """Return a label's name, or its number where it has none."""
        return str(label) if self.names is None else self.names[label]


@dataclass(frozen=True)
class System:
    """A ranking: its name, and the labels of every test document, best first, int32 (n, k), padded with L."""

    name: str
    top: Ints


def sums(system: System, truth: Truth, metrics: Sequence[Metric]) -> dict[str, tuple[Doubles, Doubles]]:
    """Return the sums by document of the metrics of a system, see `xmlcli.metrics.sums_by_document`."""
    return sums_by_document(system.top, truth.Y, truth.inverse_propensity, metrics)


@dataclass(frozen=True)
class Bin:
    """Labels that are about as frequent in training.

    Attributes:
        title: the number of training documents, such as 2–5.
        labels: how many of them test documents carry.
        pairs: how many pairs of test document and label there are.
        recall: of each system the share of the pairs among its first k, in percent.
    """

    title: str
    labels: int
    pairs: int
    recall: list[float]


def by_frequency(systems: Sequence[System], truth: Truth, k: int) -> list[Bin]:
    """Return the recall at k of the labels of each bin of frequency, head last; bins without pairs are left out."""
    of_pairs = np.searchsorted(_UP_TO, truth.frequencies[truth.Y.indices])  # the bin of each pair
    of_labels = np.searchsorted(_UP_TO, truth.frequencies)
    carried = np.zeros(truth.Y.shape[1], np.bool_)
    carried[truth.Y.indices] = True
    pairs = np.bincount(of_pairs, minlength=len(_UP_TO) + 1)
    labels = np.bincount(of_labels[carried], minlength=len(pairs))
    found = [_hits_by_bin(system.top[:, :k], truth, of_labels, len(pairs)) for system in systems]
    return [
        Bin(_title(b), int(labels[b]), int(pairs[b]), [100 * float(hits[b] / pairs[b]) for hits in found])
        for b in range(len(pairs))
        if pairs[b]
    ]


@dataclass(frozen=True)
class Change:
    """A document that two systems rank differently.

    Attributes:
        document: its row among the test documents, from 0.
        gain: true labels among the first k, of the other system less the first one.
        true, first, other: names of its true labels, and of the first k of both.
    """

    document: int
    gain: int
    true: list[str]
    first: list[str]
    other: list[str]


def most_changed(first: System, other: System, truth: Truth, k: int, count: int) -> list[Change]:
    """Return the documents whose number of true labels among the first k differs most, ties by row."""
    gains = hit_matrix(other.top[:, :k], truth.Y).sum(axis=1).astype(np.int64) - hit_matrix(
        first.top[:, :k], truth.Y
    ).sum(axis=1)
    order = np.argsort(-np.abs(gains), kind="stable")[:count]
    return [
        Change(
            int(row),
            int(gains[row]),
            [truth.name(label) for label in truth.Y.indices[truth.Y.indptr[row] : truth.Y.indptr[row + 1]]],
            *([truth.name(label) for label in s.top[row, :k] if label < truth.Y.shape[1]] for s in (first, other)),
        )
        for row in order
        if gains[row]
    ]


def _hits_by_bin(top: Ints, truth: Truth, bins: Longs, count: int) -> Longs:
    """Return how many true labels of each bin a ranking holds, int64 (count,)."""
    hits = hit_matrix(top, truth.Y)
    return np.bincount(bins[top[hits]], minlength=count)


def _title(number: int) -> str:
    if number == len(_UP_TO):
        return f"over {_UP_TO[-1]:,}"
    first, last = (_UP_TO[number - 1] + 1 if number else 0), _UP_TO[number]
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"
