"""Starting several ranks on this machine, as torchrun does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.paths import PROJECT
from support.tiny_dataset import PROFILES


def torchrun(*words: str, ranks: int = 2) -> subprocess.Popen[str]:
    """Start `ranks` processes of `python <words>` that talk over the loopback device."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), *words]
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "tests"), os.environ.get("PYTHONPATH", "")])
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


def trained(dataset: Path, root: Path, *, device: str = "cpu", **more: object) -> subprocess.Popen[str]:
    """Start two ranks that train the tiny dataset by the default profile."""
    overrides = PROFILES["default"] | {key.replace("__", "."): value for key, value in more.items()}
    settings = [f"--set={key}={json.dumps(value)}" for key, value in overrides.items()]
    return torchrun("-m", "xmlcli", "train", "--dataset", str(dataset), "--profile", "default", "--root", str(root),
                    "--device", device, *settings)  # fmt: skip


def process_of_rank(rank: int, agent: int) -> int:
    """Return the process that torchrun's `agent` started as that rank."""
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    environments = {int(child): Path(f"/proc/{child}/environ").read_bytes().split(b"\0") for child in children}
    (found,) = (child for child, variables in environments.items() if f"RANK={rank}".encode() in variables)
    return found
