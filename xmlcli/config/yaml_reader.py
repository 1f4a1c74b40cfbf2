"""Read YAML strictly: plain values only, within bounds, and whatever cannot be meant is told with its key and line.

That is a key given twice, a key that is no text, an alias, a tag of another kind than a value's own, a number that is
none or has too many digits. A date is text. How numbers and words are spelled is that of YAML 1.1, as PyYAML reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from xmlcli.errors import ConfigError

MOST_BYTES = 1 << 18
MOST_NODES = 20_000
MOST_DEPTH = 20
_MOST_DIGITS = 40
_SHOWN = 40
_TAG = "tag:yaml.org,2002:"
_TEXTS = (f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value")


class Content(NamedTuple):
    """What a YAML text holds, and what is wrong with it, each fault with its key and line."""

    value: Any
    faults: list[str]


def read_file(path: Path) -> Content:
    """Read a file. ConfigError where it is not YAML, or beyond the bounds; OSError where it cannot be read."""
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    try:
        return read_text(raw.decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError too
        raise ConfigError("a file is not YAML", where=str(path), found=" ".join(str(error).split())) from None


def read_text(text: str) -> Content:
    """Read a text. ValueError where it is not YAML, or beyond the bounds."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    try:
        loader = _Nodes(text)
        node = loader.get_single_node()
    except (yaml.YAMLError, OverflowError, IndexError) as error:
        raise ValueError(str(error)) from None
    return Content(None if node is None else loader.value(node, ""), loader.faults)


def content_of(path: Path) -> Any:
    """Return the value in a file. ConfigError where it is not YAML, and one for all faults it has."""
    value, faults = read_file(path)
    if faults:
        raise ConfigError("a file of settings cannot be used", where=str(path), found="; ".join(faults))
    return value


class _Nodes(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Makes nodes of a text as PyYAML does, but for aliases, and values of the nodes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.faults: list[str] = []
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Return the next node; YAMLError where there are too many, or too deep ones."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self.get_event()
            self._fault("", event, "an alias", "write the value itself")
            return yaml.ScalarNode(f"{_TAG}null", "null", event.start_mark, event.end_mark)
        self._depth, self._count = self._depth + 1, self._count + 1
        if self._depth > MOST_DEPTH or self._count > MOST_NODES:
            problem = f"more than {MOST_DEPTH} levels or {MOST_NODES:,} values"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        node: yaml.Node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def value(self, node: yaml.Node, key: str) -> Any:
        """Return the value of a node; what is wrong with it is noted."""
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(inner, key) for inner in node.value]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        self._fault(key, node, f"the tag {node.tag.replace(_TAG, '!!')[:_SHOWN]!r}", "write the plain value")
        return None

    def _mapping(self, node: yaml.MappingNode, outer: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _TEXTS:
                self._fault(outer, key_node, "a key that is no text", "put it in quotes")
                continue
            name = str(self._scalar(key_node, outer))
            key = f"{outer}.{name[:_SHOWN]}".removeprefix(".")
            if name in result:
                self._fault(key, key_node, f"the key again, first in line {lines[name]}", "keep one")
                continue
            lines[name] = key_node.start_mark.line + 1
            result[name] = self.value(value_node, key)
        return result

    def _scalar(self, node: yaml.ScalarNode, key: str) -> Any:
        text = str(node.value)
        if node.tag in _TEXTS:
            if any("\ud800" <= sign <= "\udfff" for sign in text):
                self._fault(key, node, "half a character (a lone surrogate)")
                return ascii(text)
            return text
        makers = {
            f"{_TAG}null": self.construct_yaml_null,
            f"{_TAG}bool": self.construct_yaml_bool,
            f"{_TAG}int": self.construct_yaml_int,
            f"{_TAG}float": self.construct_yaml_float,
        }
        shown = repr(text[:_SHOWN])
        if node.tag not in makers:
            self._fault(key, node, f"the tag {node.tag.replace(_TAG, '!!')[:_SHOWN]!r}", "write the plain value")
        elif len(text) > _MOST_DIGITS and node.tag != f"{_TAG}null":
            self._fault(key, node, f"a number of more than {_MOST_DIGITS} digits, {shown}")
        else:
            try:
                return makers[node.tag](node)
            except (ValueError, KeyError, IndexError, OverflowError):
                self._fault(key, node, f"{shown}, which is no {node.tag.removeprefix(_TAG)}")
        return text[:_SHOWN]

    def _fault(self, key: str, at: yaml.Node | yaml.Event, found: str, remedy: str = "") -> None:
        told = f"{key}: found {found} (line {at.start_mark.line + 1})" + (f", {remedy}" if remedy else "")
        self.faults.append(told.removeprefix(": "))
