"""Measure and release the memory of this process."""

from __future__ import annotations

import ctypes
import resource
import sys


def peak_memory() -> int:
    """Return the most bytes that this process, or one that it started, has held."""
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(usage) * (1 if sys.platform == "darwin" else 1024)


def give_back_memory() -> None:
    """Return freed memory to the system. glibc keeps it, gigabytes of it if threads have freed what others allocated.

    Without glibc nothing is done.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
