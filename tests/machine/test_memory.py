"""How much memory this process has held, and giving back what was freed."""

from __future__ import annotations

import ctypes
import sys

import pytest

from xmlcli.machine.memory import give_back_memory, peak_memory


def test_the_peak_holds_what_was_held() -> None:
    before = peak_memory()
    held = bytearray(before + (1 << 26))
    held[::4096] = bytes([1]) * len(held[::4096])
    assert peak_memory() > before + (1 << 25)


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_memory_is_given_back_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    give_back_memory()
    asked: list[int] = []

    class Library:
        malloc_trim = asked.append

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    give_back_memory()
    assert asked == [0]
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    give_back_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("there is no glibc"))
    give_back_memory()
    assert asked == [0]
