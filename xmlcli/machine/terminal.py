"""What reaches the terminal: text from data made safe to show, and nothing that libraries print by themselves.

A label's name must not move a cursor or turn the line around.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """Return a text as one line without control characters, each replaced by its escape, such as `\\x1b`.

    Those are C0, DEL and C1, signs that change the direction of writing, separators of lines, and lone surrogates.
    """
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Let nothing of this process reach stderr while the block runs, compiled code included."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
