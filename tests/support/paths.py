"""Where the project and its pipeline files lie."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parents[2]
PIPELINES = PROJECT / "pipelines"
