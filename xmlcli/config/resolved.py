"""Settings that no pipeline file is needed for: a `Config` as plain values, and from such values a `Config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from xmlcli.config.overrides import flatten
from xmlcli.config.retired import ADDED, without_retired
from xmlcli.config.schema import Problem, build
from xmlcli.config.sections import Config
from xmlcli.errors import ConfigError


def all_settings(config: Config) -> dict[str, Any]:
    """Return all settings as plain data, in the order of `Config`."""
    return config.parameters([f.name for f in fields(config)])


def from_settings(settings: Mapping[str, Any], *, where: str) -> Config:
    """Return the config that `all_settings` described. Raises ConfigError, which lists all that hinders it."""
    return _build({**ADDED, **without_retired(flatten(dict(settings)))}, where)


def overridden(config: Config, overrides: Mapping[str, Any]) -> Config:
    """Return the settings with {"section.key": value} instead of their own. Raises ConfigError."""
    return _build({**flatten(all_settings(config)), **overrides}, f"--set {' '.join(overrides)}")


def _build(flat: Mapping[str, Any], where: str) -> Config:
    """Return settings from {"section.key": value}."""
    raw: dict[str, Any] = {}
    for key, value in flat.items():
        section, dot, name = key.partition(".")
        if dot:
            raw.setdefault(section, {})[name] = value
    problems: list[Problem] = []
    config = build(Config, raw | {key: value for key, value in flat.items() if "." not in key}, problems)
    if config is None:
        found = "; ".join(f"{problem.key}: {problem.text}" for problem in problems)
        raise ConfigError("settings cannot be used", where=where, found=found)
    return config
