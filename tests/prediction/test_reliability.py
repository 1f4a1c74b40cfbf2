"""Bins of probability: what they hold, and how far predicted and observed are apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

from xmlcli.prediction.reliability import EDGES, count_bins, expected_calibration_error, reliability_table

PREDICTED = np.array([0.0, 0.005, 0.02, 0.15, 0.15, 0.95, 1.0])
RIGHT = np.array([False, False, True, True, False, True, True])


def bins() -> np.ndarray:
    with np.errstate(divide="ignore"):
        return count_bins(logit(PREDICTED).astype(np.float32), RIGHT)


def test_labels_are_counted_in_the_bin_of_their_probability() -> None:
    table = reliability_table(bins())
    assert [(row["from"], row["to"], row["labels"]) for row in table] == [
        (0.0, 0.01, 2), (0.01, 0.05, 1), (0.1, 0.2, 2), (0.9, 1.0, 2),
    ]  # fmt: skip
    assert [row["observed"] for row in table] == [0, 1, 0.5, 1]
    assert [row["predicted"] for row in table] == pytest.approx([0.0025, 0.02, 0.15, 0.975], abs=1e-6)


def test_the_error_is_the_mean_distance_over_labels() -> None:
    expected = (2 * 0.0025 + 1 * 0.98 + 2 * 0.35 + 2 * 0.025) / 7
    assert expected_calibration_error(reliability_table(bins())) == pytest.approx(expected, abs=1e-6)


def test_sums_of_parts_add_up_to_those_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    scores, right = rng.normal(-2, 3, 500).astype(np.float32), rng.random(500) < 0.3
    parts = count_bins(scores[:200], right[:200]) + count_bins(scores[200:], right[200:])
    assert np.allclose(parts, count_bins(scores, right))
    assert parts.shape == (len(EDGES) - 1, 3)


def test_without_labels_there_is_no_row_and_no_error() -> None:
    table = reliability_table(count_bins(np.zeros(0, np.float32), np.zeros(0, np.bool_)))
    assert table == []
    assert expected_calibration_error(table) == 0
