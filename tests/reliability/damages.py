"""The ways in which `make corrupt` damages a file."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

from garbling import flipped, other_json

_JUNK = 4096
Damage = Callable[[Path, random.Random, list[Path]], object]


def _changed(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    """Return a damage to the bytes of a file: in place, so that its hard links change too, or of this one alone."""

    def damage(path: Path, rng: random.Random, others: list[Path]) -> None:
        content = change(path.read_bytes(), rng)
        if rng.random() < 0.5:
            path.unlink()
        path.write_bytes(content)

    return damage


def _blanked(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content) + 1), rng.randint(1, _JUNK)
    return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]


def _scrambled(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content) + 1), rng.randint(1, _JUNK)
    return content[:at] + rng.randbytes(len(content[at : at + length])) + content[at + length :]


def _edited(content: bytes, rng: random.Random) -> bytes:
    """Change one value of JSON; where the file holds none, replace a digit."""
    try:
        value = json.loads(content)
    except ValueError:
        digits = [at for at, byte in enumerate(content) if 48 <= byte < 58]
        at = rng.choice(digits) if digits else 0
        return content[:at] + str(rng.randrange(10)).encode() + content[at + 1 :]
    return json.dumps(other_json(value, rng)).encode()


def _exchanged(path: Path, rng: random.Random, others: list[Path]) -> None:
    content = rng.choice(others).read_bytes()
    path.unlink()
    path.write_bytes(content)


def _replaced(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path, rng: random.Random, others: list[Path]) -> None:
        path.unlink()
        make(path)

    return damage


DAMAGES: dict[str, Damage] = {
    "flip": _changed(flipped),
    "flip again": _changed(flipped),
    "cut": _changed(lambda content, rng: content[: rng.randrange(len(content) + 1)]),
    "empty": _changed(lambda content, rng: b""),
    "zeros": _changed(_blanked),
    "junk": _changed(_scrambled),
    "longer": _changed(lambda content, rng: content + rng.randbytes(rng.randint(1, 100))),
    "edit": _changed(_edited),
    "edit again": _changed(_edited),
    "nested": _changed(lambda content, rng: b"[" * 200_000),
    "exchange": _exchanged,
    "absent": _replaced(lambda path: None),
    "folder": _replaced(lambda path: path.mkdir()),
    "link to nothing": _replaced(lambda path: path.symlink_to("nothing")),
    "link to itself": _replaced(lambda path: path.symlink_to(path.name)),
    "pipe": _replaced(os.mkfifo),
}
PLACED = ("folder", "link to nothing", "link to itself", "pipe")
"""Something else than a file in its place, which a command may refuse by name instead of removing it."""
