"""How algorithms tell the outside how far they are."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with a label, the amount done and the total."""


def silent(label: str, done: int, total: int) -> None:
    """Report nothing."""
