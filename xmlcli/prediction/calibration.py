"""Probabilities that hold: a rising curve from combined scores to the log-odds observed on validation documents.

Logistic regression fits the many labels that are wrong, of low scores; at high scores, of which there are few, the
log-odds need not go on as a straight line. The curve is fitted by pooled bins (isotonic regression), each of some right
labels, joined by lines; it rises strictly, so that the ranking stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.special import expit, logit

from xmlcli.arrays import Bools, Doubles, Floats, Ints
from xmlcli.metrics import hit_matrix
from xmlcli.prediction.combination import Combination

_MOST_BINS = 20
_FEWEST_EXPECTED = 80.0  # right labels a bin: fewer follow the chance of a few hundred documents
_LEAST_RISE = 1e-3  # of the curve from one point to the next, both ways
_FARTHEST = 15.0  # log-odds, beyond which all scores count alike


def calibrated(
    combination: Combination, scores: Mapping[str, Floats], candidates: Ints, Y: sp.csr_matrix, weights: Floats
) -> Combination:
    """Return the combination with a curve fitted to documents; as it is where they have too few labels.

    scores: name → float32 (N, k); candidates: int32 (N, k), padded with L; Y: CSR (N, L); weights: float32 (N,), what
    each document counts.
    """
    there = candidates < Y.shape[1]
    combined = combination.combine(scores, candidates, Y.shape[1])[there].astype(np.float64)
    counts = np.broadcast_to(weights[:, None], there.shape)[there].astype(np.float64)
    return replace(combination, curve=fit_curve(combined, hit_matrix(candidates, Y)[there], counts))


def fit_curve(scores: Doubles, right: Bools, counts: Doubles) -> tuple[tuple[float, float], ...]:
    """Return ascending points (score, log-odds), or none where fewer than two bins can be filled.

    scores: log-odds as the combination gives them, float64 (n,); right: bool (n,), whether the label is; counts:
    float64 (n,), as how many labels it counts.
    """
    order = np.argsort(scores, kind="stable")
    expected = counts[order] * expit(np.clip(scores[order], -_FARTHEST, _FARTHEST))
    hits = counts[order] * right[order]
    weight = expected + hits
    num_bins = int(min(_MOST_BINS, weight.sum() / (2 * _FEWEST_EXPECTED)))
    if num_bins < 2:
        return ()
    number = np.minimum(np.cumsum(weight) * num_bins / weight.sum(), num_bins - 1).astype(np.int64)
    columns = [np.bincount(number, values, num_bins) for values in (counts[order], expected, hits)]
    sums = np.column_stack(columns).astype(np.float64)
    sizes, predicted, observed = _pool(sums[sums[:, 0] > 0]).T
    share = predicted / sizes
    x, y = logit(share), logit((observed + share) / (sizes + 1))
    apart = np.append(True, np.diff(x) > _LEAST_RISE)
    x, y = x[apart], np.maximum.accumulate(y[apart])
    y += _LEAST_RISE * np.arange(len(y))
    return tuple(zip(x.tolist(), y.tolist(), strict=True)) if len(x) > 1 else ()


def _pool(sums: Doubles) -> Doubles:
    """Join neighbouring bins until the share of right labels rises; sums: (count, expected, right), (B, 3)."""
    pools: list[Doubles] = []
    for row in sums:
        pools.append(row)
        while len(pools) > 1 and pools[-2][2] * pools[-1][0] >= pools[-1][2] * pools[-2][0]:
            last = pools.pop()
            pools[-1] = pools[-1] + last
    return np.array(pools)
