"""The table of kinds and its docstring name the same symbols."""

from __future__ import annotations

import re

from xmlcli.storage import kinds


def test_the_docstring_explains_exactly_the_symbols_of_the_table() -> None:
    used = {d for files in kinds.KINDS.values() for spec in files.values() for d in spec.shape or () if type(d) is str}
    assert kinds.__doc__
    lines = [line.strip() for line in kinds.__doc__.splitlines() if line.startswith("    ")]
    explained = {symbol for line in lines for symbol in re.split(r"\s{2,}", line)[0].split(", ")}
    assert explained == used
