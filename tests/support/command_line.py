"""The command line in this process."""

from __future__ import annotations

import sys

import pytest
from support.tiny_dataset import PROJECT

from xmlcli import cli


def main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command in this process and return its exit code."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(sys, "argv", ["xmlcli", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)
