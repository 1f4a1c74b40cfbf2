"""Tests of importing without Python's collector."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from xmlcli.machine.garbage import without_collecting


def test_nothing_is_collected_in_the_block() -> None:
    assert gc.isenabled()
    with without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_in_the_block_leaves_the_collector_on() -> None:
    with pytest.raises(ImportError), without_collecting():
        import xmlcli.no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_command_line_leaves_nothing_to_go_through_at_its_end() -> None:
    script = (
        "import atexit, gc, sys; sys.argv = ['xmlcli', '--version']\n"
        "atexit.register(lambda: print('frozen', gc.get_freeze_count() > 0))\n"
        "from xmlcli.cli import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.splitlines()[-1] == "frozen True"
