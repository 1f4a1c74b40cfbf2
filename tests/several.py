"""Starting several ranks on this machine, as torchrun does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def torchrun(*words: str, ranks: int = 2) -> subprocess.Popen[str]:
    """Start `ranks` processes of `python <words>` that talk over the loopback device."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), *words]
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment | {"PYTHONPATH": path}
    )


def finished(process: subprocess.Popen[str], seconds: float = 100) -> tuple[int, str]:
    """Return exit code and stderr of a process that ends in time."""
    try:
        _, told = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, told
