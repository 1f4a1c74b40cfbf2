"""Reading the settings of a run: its pipeline file, on top of the files it builds on, and then the overrides.

A pipeline file that says `base: NAME` holds only what differs from that one, which may have a base itself. Of a section
it names the keys that differ; a value, a list too, takes the place of the base's whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from xmlcli.config.pipeline_files import find_base
from xmlcli.config.retired import RETIRED
from xmlcli.config.schema import Problem, as_yaml, build
from xmlcli.config.sections import Config
from xmlcli.errors import ConfigError

BASE = "base"
SHOWN_PROBLEMS = 100


class PipelineFile(NamedTuple):
    """A pipeline file as it was read: its path, its top-level keys but for `base`, and what YAML is wrong in it."""

    path: Path
    content: dict[str, Any]
    faults: list[str]


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the settings of a pipeline file, with overrides {"section.key": value} instead of its values.

    Raises ConfigError that names the file and lists every unknown, missing, repeated or wrong key; of a key that stands
    in a base, it names that file.
    """
    overrides = overrides or {}
    chain = read_chain(path)
    raw, origins = _merge(chain)
    problems = _override(raw, overrides)
    config = build(Config, raw, problems)
    lines = [fault + _origin(file.path, path) for file in chain for fault in file.faults]
    lines += [_describe(p, None if p.key in overrides else origins.get(p.key, path), path) for p in problems]
    if lines or config is None:
        more = [f"{len(lines) - SHOWN_PROBLEMS:,} more"] if len(lines) > SHOWN_PROBLEMS else []
        where = f"{path} with --set {' '.join(overrides)}" if overrides else str(path)
        found = "; ".join([*lines[:SHOWN_PROBLEMS], *more])
        raise ConfigError("a pipeline cannot be used", where=where, found=found)
    return config


def read_chain(path: Path) -> list[PipelineFile]:
    """Return a pipeline file and those it builds on, its base next, each read.

    Raises ConfigError where one is absent or no mapping, or where they build on each other in a loop.
    """
    chain: list[PipelineFile] = []
    while True:
        names = [file.path.stem for file in chain] + [path.stem]
        if path.resolve() in [file.path.resolve() for file in chain]:
            raise ConfigError(
                "pipelines build on each other in a loop",
                where=str(chain[0].path),
                found=" → ".join(names),
                remedy=f"take `{BASE}` out of one of them",
            )
        content, faults = _read(path)
        base = content.pop(BASE, None)
        chain.append(PipelineFile(path, content, faults))
        if base is None:
            return chain
        if not isinstance(base, str) or not base:
            found = f"{BASE}: expected the name of a pipeline, found {as_yaml(base)}"
            raise ConfigError("a pipeline cannot be used", where=str(path), found=found)
        path = find_base(base, path)


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the mapping that a file holds, and its faults."""
    from xmlcli.config.yaml_reader import read_file

    try:
        content, faults = read_file(path)
    except FileNotFoundError:
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise ConfigError(
            f"there is no pipeline called {path.stem!r}",
            where=str(path),
            found=f"pipelines {', '.join(known)}" if known else f"no pipeline in {path.parent}",
        ) from None
    if not isinstance(content, dict):
        found = f"the file: expected a mapping, found {as_yaml(content)}"
        raise ConfigError("a pipeline cannot be used", where=str(path), found="; ".join([*faults, found]))
    return content, faults


def _merge(chain: Sequence[PipelineFile]) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return the settings of all files as one mapping, and for each key and "section.key" the file it stands in."""
    merged: dict[str, Any] = {}
    origins: dict[str, Path] = {}
    for path, content, _ in reversed(chain):
        for key, value in content.items():
            before = merged.get(key)
            merged[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
            origins[str(key)] = path
            if isinstance(value, dict):
                origins |= {f"{key}.{name}": path for name in value}
    return merged, origins


def _override(raw: dict[str, Any], overrides: Mapping[str, Any]) -> list[Problem]:
    """Put the overrides into the raw mapping, and return what hinders it."""
    problems = []
    for key, value in overrides.items():
        section, dot, name = key.partition(".")
        if not dot:
            raw[section] = value
        elif isinstance(raw.get(section), dict):
            raw[section] = {**raw[section], name: value}
        else:
            sections = [f.name for f in fields(Config) if str(f.type).endswith("Config")]
            problems.append(Problem(key, f"no section {section!r} (known: {', '.join(sections)})"))
    return problems


def _describe(problem: Problem, origin: Path | None, path: Path) -> str:
    """Return a problem as text: what the program uses instead of a retired key, and the file where it is a base."""
    text = problem.text
    if problem.key in RETIRED:
        text = f"no such key: no longer a setting, the program always uses {as_yaml(RETIRED[problem.key])}"
    return f"{problem.key}: {text}" + _origin(origin, path)


def _origin(origin: Path | None, path: Path) -> str:
    return "" if origin in (None, path) else f" (in {origin})"
