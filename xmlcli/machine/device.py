"""Choose the device: `auto` is the first GPU that torch sees, otherwise the CPU."""

from __future__ import annotations

from xmlcli.errors import UsageError
from xmlcli.machine.garbage import without_collecting

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> str:
    """Return "cpu" or "cuda" for one of `DEVICES`; UsageError for a GPU that is not there or another name."""
    if name not in DEVICES:
        raise UsageError(f"no device {name!r}", expected=", ".join(DEVICES))
    if name == "cpu":
        return name
    with without_collecting():
        import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise UsageError("no GPU can be used", where="--device cuda", remedy="use --device cpu or --device auto")
    return "cpu"


def peak_gpu_memory(device: str) -> int | None:
    """Return the most bytes that this process's tensors have held on the GPU; None where it computes on the CPU."""
    if device != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated()
