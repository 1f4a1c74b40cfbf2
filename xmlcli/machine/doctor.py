"""What this machine and this installation have, and what will be slow with it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from xmlcli.machine.threads import num_threads
from xmlcli.version import __version__

_PACKAGES = ("torch", "numba", "numpy", "scipy", "scikit-learn", "nmslib", "dvc", "typer", "rich")
_GIB = 2**30
_LITTLE_MEMORY, _LITTLE_DISK = 4 * _GIB, 2 * _GIB
_CGROUP = Path("/sys/fs/cgroup/memory.max")


class Finding(NamedTuple):
    """One line: what was looked at, what it is, and what follows from it, empty where all is well."""

    what: str
    value: str
    advice: str = ""


def examine(root: Path) -> list[Finding]:
    """Return what there is; `root` is the folder that artifacts are written to."""
    return [*_software(), *_processor(), _memory(), *_torch(), _compiled(), _disk(root)]


def _software() -> Iterator[Finding]:
    yield Finding("xmlcli", __version__)
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, "not installed", f"commands that need it will not run: pip install {package}")


def _processor() -> Iterator[Finding]:
    count, used = os.cpu_count() or 1, num_threads()
    yield Finding("processor", f"{_processor_name()}, {count} cores")
    idle = f"{count - used} of {count} cores stay idle: OMP_NUM_THREADS or the affinity of this process says so"
    yield Finding("threads", str(used), idle if used < count else "")


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = int(_CGROUP.read_text())
    except (OSError, ValueError):  # no control group, or "max"
        limit = total
    usable = min(total, limit)
    text = f"{usable / _GIB:.1f} GiB" + (
        f" of {total / _GIB:.1f}, by the limit of a container" if limit < total else ""
    )
    little = "large collections may not fit; --profile fast and --max-documents need less"
    return Finding("memory", text, little if usable < _LITTLE_MEMORY else "")


def _torch() -> Iterator[Finding]:
    try:
        import torch

        from xmlcli.machine.torch_threads import matrix_dtype
    except ImportError:
        yield Finding(
            "training", "not possible", "torch is not installed; prediction with an exported model needs none"
        )
        return
    yield Finding("vector instructions", torch.backends.cpu.get_cpu_capability())
    bfloat16 = matrix_dtype("cpu") == torch.bfloat16
    slow = "" if bfloat16 else "training multiplies in float32, which takes longer than bfloat16 in hardware"
    yield Finding("bfloat16 products", "in hardware" if bfloat16 else "no", slow)
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; training uses the processor"
    yield Finding("GPU", gpu)


def _compiled() -> Finding:
    """Return how many compiled kernels are kept, and whether more can be."""
    own = Path(__file__).parents[1] / "kernels" / "__pycache__"
    folder = Path(os.environ["NUMBA_CACHE_DIR"]) if os.environ.get("NUMBA_CACHE_DIR") else own
    count = sum(1 for _ in folder.rglob("*.nbc")) if folder.is_dir() else 0
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    advice = "" if count else "the first commands compile kernels, which takes a minute or two, once"
    if not os.access(nearest, os.W_OK):
        advice = f"{folder} cannot be written: every process compiles anew; set NUMBA_CACHE_DIR to a folder that can"
    return Finding("compiled kernels", f"{count} in {folder}", advice)


def _disk(root: Path) -> Finding:
    nearest = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    return Finding("disk", f"{free / _GIB:.1f} GiB free at {nearest}", "little room" if free < _LITTLE_DISK else "")
