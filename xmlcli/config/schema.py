"""Turning mappings into frozen dataclasses, strictly: the machinery under `xmlcli.config.sections`.

The types a field may have: int, float, bool, str, `X | None` and `tuple[X, ...]` of those, each with rules in
`Annotated`: `Annotated[int, Range(1, 1000)]`, `Annotated[str, OneOf("exact", "nmslib")]`, and for an option that has an
effect only beside another one, `Annotated[int, OnlyWith("backend", "nmslib")]`.

A key that is unknown, missing, of another type or out of its range is a problem; all problems are collected.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from itertools import zip_longest
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
MOST_ITEMS = 100
_READABLE = 100
_MOST_GUESSES = 20
_NO_FLOAT = 10**300


class Problem(NamedTuple):
    """A key that cannot be used, written as `section.key`, and what is wrong with it."""

    key: str
    text: str


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both allowed; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def problem(self, value: object) -> str | None:
        """Say what is wrong with the value."""
        assert isinstance(value, int | float)
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            if self.high is None:
                return f"expected at least {self.low:,}"
            return f"expected at most {self.high:,}" if self.low is None else f"expected {self.low:,} to {self.high:,}"
        return None


class OneOf:
    """One of a few values."""

    def __init__(self, *values: str) -> None:
        self.values = values

    def problem(self, value: object) -> str | None:
        """Say what is wrong with the value."""
        return None if value in self.values else f"expected one of {', '.join(self.values)}"


@dataclass(frozen=True)
class Length:
    """A text of so many characters."""

    low: int
    high: int

    def problem(self, value: object) -> str | None:
        """Say what is wrong with the value."""
        assert isinstance(value, str)
        if not value and self.low == 1:
            return "expected at least one character"
        return None if self.low <= len(value) <= self.high else f"expected at most {self.high:,} characters"


@dataclass(frozen=True)
class OnlyWith:
    """The option has an effect only where the section's `key` is `value`."""

    key: str
    value: object

    def problem(self, value: object) -> str | None:
        """Nothing is wrong with the value itself."""
        return None


Rule = Range | OneOf | Length | OnlyWith


def build(cls: type[T], raw: object, problems: list[Problem], prefix: str = "") -> T | None:
    """Return `cls` filled from the mapping `raw`; nested dataclasses are filled likewise.

    Adds each fault to `problems` and then returns None.
    """
    assert is_dataclass(cls)
    if not isinstance(raw, Mapping):
        problems.append(Problem(prefix.rstrip("."), f"expected a mapping, found {as_yaml(raw)}"))
        return None
    hints = get_type_hints(cls, include_extras=True)
    names = [f.name for f in fields(cls)]
    before = len(problems)
    unknown = [cut(str(key)) for key in raw if key not in names]
    near = [_near(key, names) for key in unknown[:_MOST_GUESSES]]  # each takes a while
    problems += [Problem(f"{prefix}{k}", f"no such key{n}") for k, n in zip_longest(unknown, near, fillvalue="")]
    values: dict[str, Any] = {}
    for name in names:
        if name not in raw:
            problems.append(Problem(f"{prefix}{name}", "missing"))
        elif is_dataclass(hints[name]):
            values[name] = build(hints[name], raw[name], problems, f"{prefix}{name}.")
        else:
            try:
                values[name] = _convert(hints[name], raw[name])
            except ValueError as error:
                problems.append(Problem(f"{prefix}{name}", f"{error}, found {as_yaml(raw[name])}"))
    return None if len(problems) > before else cls(**values)


def without_effect(section: object, name: str) -> str | None:
    """Say why the option `name` of a section dataclass has no effect, None where it has one."""
    for rule in _rules(get_type_hints(type(section), include_extras=True)[name]):
        if isinstance(rule, OnlyWith) and getattr(section, rule.key) != rule.value:
            return f"it counts only with {rule.key}={as_yaml(rule.value)}"
    return None


def _near(key: str, names: list[str]) -> str:
    near = difflib.get_close_matches(key, names, 1, 0.5)
    return f" (did you mean {near[0]}?)" if near else f" (known: {', '.join(names)})"


def as_yaml(value: object) -> str:
    """Return a value as YAML would write it."""
    if value is None:
        return "null"
    try:
        return str(value).lower() if isinstance(value, bool) else cut(repr(value))
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of very many digits"


def cut(text: str) -> str:
    """Return a text cut to a readable length."""
    return text if len(text) <= _READABLE else f"{text[: _READABLE - 3]}..."


def _rules(hint: object) -> list[Rule]:
    return [a for a in get_args(hint)[1:] if isinstance(a, Rule)] if get_origin(hint) is Annotated else []


def _convert(hint: Any, value: object) -> object:
    """Return the value in the hinted type; ValueError with what was expected."""
    rules = _rules(hint)
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    origin, options = get_origin(bare), get_args(bare)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        (bare,) = (o for o in options if o is not type(None))
        converted = _convert(bare, value)
    elif origin is tuple:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("expected a list of at least one")
        if len(value) > MOST_ITEMS:
            raise ValueError(f"expected a list of at most {MOST_ITEMS}")
        return tuple(_convert(Annotated[options[0], *rules] if rules else options[0], v) for v in value)
    else:
        converted = _scalar(bare, value)
    for rule in rules:
        problem = rule.problem(converted)
        if problem:
            raise ValueError(problem)
    return converted


def _scalar(kind: type, value: object) -> object:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if kind is float and isinstance(value, str):  # YAML 1.1 takes 1e-3 for text
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"expected {names[float]}") from None
    if kind is float and type(value) is int and abs(value) < _NO_FLOAT:
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"expected {names[kind]}")
    return value
