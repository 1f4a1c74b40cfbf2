"""How much memory this process has held, giving back what was freed, and errors that say that none is left."""

from __future__ import annotations

import ctypes
import errno
import resource
import subprocess
import sys

import numpy as np
import pytest
from support.paths import PROJECT

from xmlcli.machine.memory import give_back_memory, peak_memory, ran_out


def test_the_peak_holds_what_was_held() -> None:
    before = peak_memory()
    held = bytearray(before + (1 << 26))
    held[::4096] = bytes([1]) * len(held[::4096])
    assert peak_memory() > before + (1 << 25)


CHILD = """
import subprocess, sys
from xmlcli.machine.memory import peak_memory
before = peak_memory()
subprocess.run([sys.executable, "-c", f"held = b'1' * {before + (1 << 26)}"], check=True)
print(peak_memory() - before)
"""


def test_what_a_child_has_held_counts() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1 << 25


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


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**12,), np.dtype("f4")),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_libraries_say_in_several_ways_that_memory_ran_out(error: Exception) -> None:
    assert ran_out(error)
    wrapped = ValueError("something else")
    wrapped.__cause__ = error
    assert ran_out(wrapped)
    while_handled = KeyError("another")
    while_handled.__context__ = wrapped
    assert ran_out(while_handled)


@pytest.mark.parametrize("error", [ValueError("can't start new thread"), OSError(errno.ENOSPC, "full"), RuntimeError()])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not ran_out(error)


@pytest.mark.parametrize("limit", [600 << 20, resource.RLIM_INFINITY])
def test_an_extension_that_fails_without_a_word_had_no_memory_where_that_is_limited(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (limit, limit))
    assert ran_out(SystemError("error return without exception set")) == (limit != resource.RLIM_INFINITY)
