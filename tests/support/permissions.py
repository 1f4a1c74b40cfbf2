"""A file without permission, also where tests run as root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CAPSET, _CAPGET = {"x86_64": (126, 125), "aarch64": (91, 90)}[os.uname().machine]
_VERSION = 0x20080522
_OVERRIDE = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """Take from this thread all rights on a file; root loses its power over files too."""
    mode = path.stat().st_mode
    path.chmod(0)
    before = _capabilities()
    _set_capabilities([before[0] & ~_OVERRIDE, *before[1:]])
    try:
        yield
    finally:
        _set_capabilities(before)
        if path.exists():
            path.chmod(mode)


def _capabilities() -> list[int]:
    header, data = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).syscall(_CAPGET, header, data) == 0
    return list(data)


def _set_capabilities(values: list[int]) -> None:
    header, data = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)(*values)
    assert ctypes.CDLL(None, use_errno=True).syscall(_CAPSET, header, data) == 0
