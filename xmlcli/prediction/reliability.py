"""How well probabilities hold: labels by predicted probability, beside the share of them that are right."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from xmlcli.arrays import Bools, Doubles, Floats

EDGES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the bins, B + 1. A bin holds its lower edge, the last one the upper edge too."""


def count_bins(log_odds: Floats, right: Bools) -> Doubles:
    """Return for each bin how many labels it holds, the sum of their probabilities and how many are right, (B, 3).

    log_odds: float32 (n,), as predicted; right: bool (n,).
    """
    predicted = expit(log_odds.astype(np.float64))
    bins = np.minimum(np.searchsorted(EDGES, predicted, side="right"), len(EDGES) - 1) - 1
    columns = [np.bincount(bins, values, len(EDGES) - 1) for values in (np.ones(len(bins)), predicted, right)]
    return np.column_stack(columns).astype(np.float64)


def reliability_table(bins: Doubles) -> list[dict[str, Any]]:
    """Return the bins of `count_bins` that hold labels: edges, labels, mean probability, share of right ones."""
    return [
        {
            "from": EDGES[i],
            "to": EDGES[i + 1],
            "labels": int(labels),
            "predicted": round(predicted / labels, 6),
            "observed": round(right / labels, 6),
        }
        for i, (labels, predicted, right) in enumerate(bins.tolist())
        if labels
    ]


def expected_calibration_error(table: list[dict[str, Any]]) -> float:
    """Return the mean over labels of the distance between predicted and observed in their bin, a share.

    Naeini et al. 2015, with the bins of `EDGES` instead of equal ones. Most labels lie in the lowest bins.
    """
    labels = sum(row["labels"] for row in table)
    return float(sum(row["labels"] * abs(row["predicted"] - row["observed"]) for row in table) / max(labels, 1))
