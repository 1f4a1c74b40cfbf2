"""Text that comes from data, made safe to show: a label's name must not move a cursor or turn the line around."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """Return a text as one line without control characters, each replaced by its escape, such as `\\x1b`.

    Those are C0, DEL and C1, signs that change the direction of writing, separators of lines, and lone surrogates.
    """
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)
