"""Settings that are no longer there, because every pipeline had the same value and no experiment asked for another.

And settings that came later: records and models of before have them at a value of which they know nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RETIRED: Mapping[str, Any] = {"prepare.ngram_max": 1, "prepare.max_features": None, "clf.residual_rate": 1.0}
"""section.key → the value that the program now always uses."""

ADDED: Mapping[str, Any] = {"shortlist.unseen_labels": False}
"""section.key → the value with which the program does what it did before there was the setting."""


def without_retired(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"section.key": value} without the retired settings whose value is the one now always used."""
    return {key: value for key, value in settings.items() if key not in RETIRED or value != RETIRED[key]}
