"""Values instead of a pipeline file's: read from the texts of the command line; which of them have no effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmlcli.config.schema import cut, without_effect
from xmlcli.config.sections import Config
from xmlcli.errors import ConfigError


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Turn `section.key=value` texts into {"section.key": value}, values read as YAML.

    Raises ConfigError that lists every text of another form.
    """
    from xmlcli.config.yaml_reader import read_text

    overrides: dict[str, Any] = {}
    problems: list[str] = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            problems.append(f"{cut(repr(text))}: expected section.key=value")
            continue
        try:
            overrides[key.strip()], faults = read_text(value)
        except ValueError:
            problems.append(f"{cut(repr(text))}: the value is not YAML")
        else:
            problems += [f"{key.strip()}: {fault}" for fault in faults]
    if problems:
        raise ConfigError("overrides cannot be used", where="--set", found="; ".join(problems))
    return overrides


def unused_overrides(config: Config, overrides: Mapping[str, Any]) -> list[str]:
    """Say of each override that has no effect beside the other settings why it has none."""
    warnings = []
    for key in overrides:
        section, dot, name = key.partition(".")
        reason = without_effect(getattr(config, section), name) if dot else None
        if reason:
            warnings.append(f"{key} has no effect: {reason}")
    return warnings


def flatten(value: object, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as {"outer.inner": value}."""
    if not isinstance(value, dict):
        return {prefix.rstrip("."): value}
    return {k: v for key, inner in value.items() for k, v in flatten(inner, f"{prefix}{key}.").items()}
