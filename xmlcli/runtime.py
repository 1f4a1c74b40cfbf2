"""What the machine can do: devices, threads, and the fastest type for matrix products."""

from __future__ import annotations

from functools import cache

import torch


@cache
def matrix_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where the device multiplies it in hardware, else float32."""
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    supported = available and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if supported else torch.float32


def product(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Return A @ B in float32, multiplied in the device's fastest type."""
    dtype = matrix_dtype(A.device.type)
    return (A.to(dtype) @ B.to(dtype)).float()
