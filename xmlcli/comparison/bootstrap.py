"""The paired bootstrap over documents (Efron and Tibshirani 1993; Sakai 2006 for rankings).

A draw takes as many documents as there are, with replacement, the same for both systems, and computes the metric of
each on them. The differences of all draws are the distribution of the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xmlcli.arrays import Doubles
from xmlcli.kernels.resampling import count_draws
from xmlcli.machine.threads import over_rows
from xmlcli.progress import Progress, silent

DRAWS = 10_000
_CELLS = 1 << 23  # of counts at a time
_SURE = 0.95
_DIGITS = 9  # what is beyond depends on the order of a sum

Sums = Mapping[str, tuple[Doubles, Doubles]]
"""By the name of a metric, the two sums by document whose ratio it is (`xmlcli.metrics.sums_by_document`)."""


@dataclass(frozen=True)
class Difference:
    """How a system differs from the first one by a metric, in percent.

    Attributes:
        metric: such as P@1.
        first, other: the metric of both.
        low, high: the 95 % interval of `other - first`, from percentiles of the draws.
        p: chance of a difference as far from 0 if there were none, two-sided, corrected for the number of
            comparisons.
    """

    metric: str
    first: float
    other: float
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        """other - first."""
        return self.other - self.first


def paired_bootstrap(
    first: Sums, others: Sequence[Sums], *, draws: int = DRAWS, seed: int = 0, progress: Progress = silent
) -> list[list[Difference]]:
    """Return how each of the others differs from the first: a list for each, with a Difference for each metric.

    All have the same metrics and the same documents. The p-values are corrected together (Holm 1979).
    """
    names, systems = list(first), [first, *others]
    parts = np.stack([sums[name][0] for sums in systems for name in names], axis=1)  # (n, systems · metrics)
    wholes = np.stack([first[name][1] for name in names], axis=1)  # (n, metrics): alike for all systems
    values = 100 * _ratios(parts.sum(axis=0)[None], wholes.sum(axis=0)[None])[0]  # (systems, metrics)
    differences = np.empty((draws, len(others), len(names)))
    size = max(_CELLS // max(len(parts), 1), 1)
    for at in range(0, draws, size):
        drawn = 100 * _ratios(*_drawn_sums(parts, wholes, seed, slice(at, min(at + size, draws))))
        differences[at : at + size] = np.round(drawn[:, 1:] - drawn[:, :1], _DIGITS)
        progress("bootstrap", min(at + size, draws), draws)
    low, high = np.quantile(differences, [(1 - _SURE) / 2, (1 + _SURE) / 2], axis=0)
    p = holm(two_sided(differences).ravel()).reshape(low.shape)
    return [
        [
            Difference(name, *map(float, (values[0, m], values[s + 1, m], low[s, m], high[s, m], p[s, m])))
            for m, name in enumerate(names)
        ]
        for s in range(len(others))
    ]


def two_sided(differences: Doubles) -> Doubles:
    """Return the p-values of drawn differences (draws, ...): twice the share of draws beyond 0, at most 1.

    One is added to the draws, so that no p-value is 0 (Davison and Hinkley 1997, section 4.2).
    """
    below, above = (differences <= 0).sum(axis=0), (differences >= 0).sum(axis=0)
    return np.asarray(np.minimum(2 * (np.minimum(below, above) + 1) / (len(differences) + 1), 1.0))


def holm(p: Doubles) -> Doubles:
    """Return p-values (m,) corrected for m comparisons (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected


def _ratios(parts: Doubles, wholes: Doubles) -> Doubles:
    """Return part / whole (draws, systems, metrics), 0 where there is nothing to get.

    parts: (draws, systems · metrics); wholes: (draws, metrics).
    """
    parts = parts.reshape(len(parts), -1, wholes.shape[1])
    wholes = np.broadcast_to(wholes[:, None], parts.shape)
    return np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)


def _drawn_sums(parts: Doubles, wholes: Doubles, seed: int, numbers: slice) -> tuple[Doubles, Doubles]:
    """Return the sums of parts (n, d) and of wholes (n, m) over the documents of each of these draws."""
    n, count = len(parts), numbers.stop - numbers.start
    same = (wholes == wholes[:1]).all(axis=0)  # of which all draws have the same sum
    columns = np.concatenate([parts, wholes[:, ~same]], axis=1)
    counts, sums = np.empty((count, n)), np.empty((count, columns.shape[1]))

    def draw(first: int, last: int) -> None:
        count_draws(seed, numbers.start, first, last, counts)
        sums[first:last] = counts[first:last] @ columns

    over_rows(count, draw, cost=1e7)
    of_wholes = np.tile(n * wholes[:1].sum(axis=0), (count, 1))
    of_wholes[:, ~same] = sums[:, parts.shape[1] :]
    return sums[:, : parts.shape[1]], of_wholes
