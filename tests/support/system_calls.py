"""Watch the order of the system calls that decide what a crash leaves behind."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest


def watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return a list to which each fsync, rename, replace, unlink and removal of a folder adds its name and operands.

    Of a path only the last part counts; a temporary file or folder is `tmp`, a replaced one `old`, and a file in such a
    folder `tmp/name`.
    """
    calls: list[tuple[str, ...]] = []

    def patched(owner: Any, name: str, called: str) -> None:
        whole = getattr(owner, name)

        def call(*paths: Any, **more: Any) -> Any:
            known = [os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else path for path in paths[:2]]
            result = whole(*paths, **more)
            calls.append((called, *(_short(Path(path)) for path in known)))
            return result

        monkeypatch.setattr(owner, name, call)

    for name in ("fsync", "rename", "replace"):
        patched(os, name, name)
    patched(shutil, "rmtree", "rmtree")
    return calls


def _short(path: Path) -> str:
    def last(name: str) -> str:
        found = re.search(r"^\..*\.(tmp|old)(\.\w+)?$", name)
        return found[1] if found else name

    above = last(path.parent.name)
    return f"{above}/{last(path.name)}" if above in ("tmp", "old") else last(path.name)
