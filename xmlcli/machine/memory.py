"""Measure and release the memory of this process, and tell when none was left."""

from __future__ import annotations

import ctypes
import errno
import resource
import sys

_WITHOUT_MEMORY = (
    "can't start new thread",  # Python, which has no memory for its stack
    "can't allocate memory",  # torch
    "failed to map segment",  # the loader of shared libraries
    "cannot allocate memory",
    "cannot apply additional memory protection",
    "unable to allocate memory",
    "bad_alloc",  # C++
)


def ran_out(error: BaseException) -> bool:
    """Whether an error, or one that it came of, says that memory ran out. Libraries say so in several ways."""
    seen: BaseException | None = error
    while seen is not None:
        words = str(seen).lower()
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno == errno.ENOMEM):
            return True
        if isinstance(seen, RuntimeError | ImportError | OSError) and any(part in words for part in _WITHOUT_MEMORY):
            return True
        if isinstance(seen, SystemError) and _is_limited():
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _is_limited() -> bool:
    """Whether there is a limit of memory (ulimit -v): then an extension that fails without a word had none left."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


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
