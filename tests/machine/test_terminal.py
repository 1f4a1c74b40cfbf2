"""What is shown on a terminal never holds a control character, whatever the data holds."""

from __future__ import annotations

import sys
import unicodedata

from xmlcli.machine.terminal import shown

BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_every_sign_that_moves_or_turns_is_escaped_and_no_other_is_changed() -> None:
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        unsafe = unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in BIDIRECTIONAL
        assert (shown(sign) != sign) == unsafe, hex(code)
        if unsafe:
            assert shown(sign).startswith("\\")
            assert shown(sign).isascii()


def test_escapes_are_readable() -> None:
    assert shown("a\x1b[31mb\n\t\x9b\u202ec\ud800é[/x]\\") == r"a\x1b[31mb\n\t\x9b\u202ec\ud800é[/x]" + "\\"
