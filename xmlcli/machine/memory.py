"""Memory of this process."""

from __future__ import annotations

import ctypes
import resource
import sys


def peak_memory() -> int:
    """Return the bytes that this process, or one it started, has held at most."""
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(usage) * (1 if sys.platform == "darwin" else 1024)


def give_back_memory() -> None:
    """Return to the system what was freed: glibc keeps it, by the gigabyte where threads have freed what others made.

    Where there is no glibc nothing is done.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
