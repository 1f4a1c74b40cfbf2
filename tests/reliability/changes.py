"""The list of small changes in `changes.diff`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("changes.diff")


class StaleListError(Exception):
    """A change cannot be made, or its tests fail without it."""


@dataclass(frozen=True)
class Change:
    """A small change: in the file at `path`, `old` becomes `new`, which some of `tests` should notice."""

    path: str
    tests: tuple[str, ...]
    old: str
    new: str

    @property
    def package(self) -> str:
        """The folder of the file."""
        return str(Path(self.path).parent)

    def made(self, text: str) -> str:
        """Return a file's text with the change. Raises StaleListError where `old` is not in it exactly once."""
        if text.count(self.old) != 1:
            raise StaleListError(f"{self.path} holds {text.count(self.old)} times: {self.old}")
        return text.replace(self.old, self.new)

    def __str__(self) -> str:
        old, new = (" ".join(part.split()) for part in (self.old, self.new))
        return f"{self.path}: {old}  →  {new or 'nothing'}"


def read_changes(text: str) -> list[Change]:
    """Return the changes of a list.

    A line `file PATH` and a line `tests PATH…` hold for all that follows; changes are blocks of lines `- old` and
    `+ new`, apart by empty lines; other lines begin with `#`. An old text may be part of a line. StaleListError for
    anything else.
    """
    changes: list[Change] = []
    path, tests = "", ()
    for block in re.split(r"\n\s*\n", text.strip()):
        old, new = [], []
        for line in block.splitlines():
            match line[:2], line.split():
                case _, ["file", name]:
                    path, tests = name, ()
                case _, ["tests", *names]:
                    tests = tuple(names)
                case ("- " | "-"), _:
                    old.append(line[2:])
                case ("+ " | "+"), _:  # without a text: `old` goes out
                    new.append(line[2:])
                case _ if not line.startswith("#"):
                    raise StaleListError(f"no line of a list of changes: {line}")
        if old and path and tests:
            changes.append(Change(path, tests, "\n".join(old), "\n".join(new)))
        elif old or new:
            raise StaleListError(f"a change without an old text, a file or tests: {block}")
    return changes
