"""Checkpoints of phase 3: a cycle that was stopped goes on from the last one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from xmlcli.classifiers.training_state import TrainingState
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.storage import files
from xmlcli.storage.atomic import atomic_file

_PAUSE_FACTOR = 20  # pause between two checkpoints, as a multiple of the time that saving took


class Checkpoint:
    """The state of a cycle in the middle of its training, in a file that is replaced atomically.

    Each of several ranks saves what it holds, alternately in one of two files. If a rank is killed while it saves, all
    ranks still have the state before. Checkpoints of another number of ranks are not used.
    """

    def __init__(self, path: Path, model: TrainingState, seconds: float, ranks: Ranks = ALONE) -> None:
        own = [path.with_stem(f"{path.stem}-{ranks.rank}-of-{ranks.size}-{turn}") for turn in "ab"]
        self._paths = [path] if ranks.size == 1 else own
        self._next = 0
        self._model = model
        self._ranks = ranks
        self._seconds = seconds
        self._cost = 0.0
        self._saved_at = time.monotonic()

    def restore(self) -> int:
        """Load the state of an earlier attempt and return how many steps it had done; 0 where there is none."""
        steps = [_step(path) for path in self._paths]
        common = set(steps).intersection(*(part[0].tolist() for part in self._ranks.all_gather(np.array(steps))))
        step = max(common, default=0)
        if step <= 0:
            return 0
        tensors = files.load_tensors(self._paths[steps.index(step)])
        self._model.load(_under("model.", tensors), _under("optimiser.", tensors))
        self._next = (steps.index(step) + 1) % len(self._paths)
        return step

    def tick(self, step: int) -> None:
        """Save if enough time has passed on any rank: saving takes at most a twentieth of the time."""
        pause = max(self._seconds, _PAUSE_FACTOR * self._cost) if self._seconds else 0.0
        if self._ranks.max_over_ranks(int(time.monotonic() - self._saved_at >= pause)):
            self.save(step)

    def save(self, step: int) -> None:
        """Save the state after `step` steps."""
        started = time.monotonic()
        tensors = {"step": torch.tensor(step)}
        tensors |= {f"model.{name}": tensor for name, tensor in self._model.tensors().items()}
        tensors |= {f"optimiser.{name}": tensor for name, tensor in self._model.optimiser_tensors().items()}
        with atomic_file(self._paths[self._next]) as path:
            files.save_tensors(path, tensors)
        self._next = (self._next + 1) % len(self._paths)
        self._ranks.barrier()
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started


def _step(path: Path) -> int:
    """Return how many steps were done when the file was saved; -1 where there is none."""
    return int(files.load_tensors(path, "step")["step"]) if path.exists() else -1


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
