"""A model is loaded from a run without what trained it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["torch", "sklearn", "xmlcli.prediction.fit", "xmlcli.prediction.calibration", "xmlcli.stages.job"]
)
def test_loading_a_run_imports_nothing_that_trains_or_fits(module: str) -> None:
    code = f"import sys, xmlcli.runs.trained_run; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
