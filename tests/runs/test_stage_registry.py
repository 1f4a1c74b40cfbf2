"""The stages the program has: constants are read from the source, modules only imported to run."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import fields

import pytest

from xmlcli.config.sections import Config
from xmlcli.runs.plan import STAGES
from xmlcli.runs.stage_registry import find_stage, module_name


@pytest.mark.parametrize("stage", STAGES)
def test_constants_read_from_the_source_are_the_modules(stage: str) -> None:
    module = importlib.import_module(f"xmlcli.stages.{module_name(stage)}")
    found = find_stage(stage)
    assert (found.version, found.sections) == (module.VERSION, module.SECTIONS)
    assert found.load() is module.run


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_parts_of_the_configuration(stage: str) -> None:
    assert set(find_stage(stage).sections) <= {f.name for f in fields(Config)} - {"final_refresh"}


def test_finding_stages_imports_none_of_them() -> None:
    code = (
        "import sys; from xmlcli.runs.stage_registry import find_stage; from xmlcli.runs.plan import STAGES\n"
        "[find_stage(s) for s in STAGES]\n"
        "assert 'torch' not in sys.modules and 'xmlcli.stages.train_clf' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
