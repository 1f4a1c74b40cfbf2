"""Which module each stage is, and what of it counts for a call's identity, without importing the module.

Importing a stage brings torch, which takes seconds; `plan` and `evaluate` need only two constants of each, and those
are read from the source as DVC reads them.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xmlcli.machine.garbage import without_collecting
from xmlcli.stages.job import Job

Run = Callable[[Job], None]
Sources = Callable[[Job], dict[str, str]]


@dataclass(frozen=True)
class Stage:
    """One stage: its version, the sections it depends on, and how to get its function when it is to run.

    `sources` returns what a call reads besides artifacts, as name → sha256 or version; only prepare has any.
    """

    version: int
    sections: tuple[str, ...]
    load: Callable[[], Run]
    sources: Callable[[], Sources] | None = None


Registry = Callable[[str], Stage]


def module_name(stage: str) -> str:
    """The module of a stage, relative to `xmlcli.stages`."""
    return stage.replace("-", "_")


@cache
def find_stage(stage: str) -> Stage:
    """Return the program's stage of that name, one of `xmlcli.runs.plan.STAGES`."""
    name = module_name(stage)
    constants = _constants(Path(__file__).parents[1] / "stages" / f"{name}.py")

    def load() -> Run:
        with without_collecting():
            run: Run = importlib.import_module(f"xmlcli.stages.{name}").run
        return run

    def load_sources() -> Sources:
        sources: Sources = importlib.import_module("xmlcli.stages.raw_files").sources
        return sources

    version, sections = constants["VERSION"], constants["SECTIONS"]
    assert isinstance(version, int)
    assert isinstance(sections, tuple)
    return Stage(version, sections, load, load_sources if stage == "prepare" else None)


def _constants(path: Path) -> dict[str, object]:
    """Return the literal constants assigned at the top level of a module."""
    found: dict[str, object] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                if name in ("VERSION", "SECTIONS"):
                    found[name] = ast.literal_eval(value)
    return found
