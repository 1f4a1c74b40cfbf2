"""Torch's own threads, and the fastest type for matrix products on a device."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch

from xmlcli.machine.threads import num_threads

_X86 = ("x86_64", "AMD64")


@cache
def matrix_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where the device multiplies it in hardware, else float32."""
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    supported = available and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if supported and platform.machine() in _X86:  # where AVX-512 alone counts, on which oneDNN does it in software
        supported = torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if supported else torch.float32


@contextmanager
def one_thread_each() -> Iterator[Executor]:
    """Yield a pool of threads; in each of them, and in the caller's, torch uses only that thread.

    Torch's own threads spin between operations, which takes a core from ours. Beside other programs, each small
    operation would wait for a thread that has no core.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
