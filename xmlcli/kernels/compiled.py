"""How kernels are compiled: at the first call, once for each type of arguments, and kept (`xmlcli.kernels.cache`).

The log says when one is compiled. A kernel runs without Python's lock, so several threads can run it at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import event

from xmlcli.kernels.cache import prepare_cache

_LOG = logging.getLogger(__name__)
_KEPT = prepare_cache()
Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(function: Kernel) -> Kernel:
    """Compile a function that adds in the order as written and raises ZeroDivisionError."""
    return cast(Kernel, njit(cache=_KEPT, nogil=True)(function))


def fast_kernel(function: Kernel) -> Kernel:
    """Compile a function whose sums may be added in another order: only so does the compiler vectorise them."""
    return cast(Kernel, njit(cache=_KEPT, nogil=True, fastmath=True)(function))


def fast_dividing_kernel(function: Kernel) -> Kernel:
    """Compile as `fast_kernel` does, where a division by 0 raises nothing: only so are divisions vectorised."""
    return cast(Kernel, njit(cache=_KEPT, nogil=True, fastmath=True, error_model="numpy")(function))


class _Compiling(event.Listener):
    """Logs that a kernel is compiled, which takes seconds, and not that a compiled one is read."""

    def on_start(self, event: Any) -> None:
        """Log it."""
        _LOG.info("compiling, once per installation")

    def on_end(self, event: Any) -> None:
        """Log nothing."""


event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]
