"""Checkpoints of phase 3: a cycle that was stopped goes on from the last one that is whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from xmlcli.classifiers.training_state import TrainingState
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.stages import sealed_tensors
from xmlcli.storage import files
from xmlcli.storage.atomic import atomic_file

BAD = ".bad"
"""Suffix of a checkpoint that was set aside."""
_PAUSE_FACTOR = 20  # pause between two checkpoints, as a multiple of the time that saving took
_log = logging.getLogger("xmlcli")


class Checkpoint:
    """The state of a cycle in the middle of its training, in a file that is replaced atomically.

    Each rank saves what it holds, alternately in one of two files, sealed with their sha256. If a rank is killed while
    it saves, or a file is damaged, all ranks still have the state before. Checkpoints of another number of ranks are
    not used.
    """

    def __init__(self, path: Path, model: TrainingState, seconds: float, ranks: Ranks = ALONE) -> None:
        self._paths = [path.with_stem(f"{path.stem}-{ranks.rank}-of-{ranks.size}-{turn}") for turn in "ab"]
        self._next = 0
        self._owner_path = path.with_name("identity.json")  # what the call follows from, as the runner wrote it
        self._model = model
        self._ranks = ranks
        self._seconds = seconds
        self._cost = 0.0
        self._saved_at = time.monotonic()

    def restore(self) -> int:
        """Load the newest state that all ranks have whole, and return how many steps it had done; 0 without any.

        Files that cannot be used are set aside and logged.
        """
        steps = [self._step(path) for path in self._paths]
        common = set(steps).intersection(*(part[0].tolist() for part in self._ranks.all_gather(np.array(steps))))
        step = max(common, default=0)
        if step <= 0:
            return 0
        turn = steps.index(step)
        tensors = files.load_tensors(self._paths[turn])
        self._model.load(_under("model.", tensors), _under("optimiser.", tensors))
        self._next = 1 - turn
        return step

    def tick(self, step: int, check: Callable[[int], object] = lambda step: None) -> None:
        """Save if enough time has passed on any rank: saving takes at most a twentieth of the time.

        check: called with `step` before a save; what it raises leaves the last checkpoint as it is.
        """
        pause = max(self._seconds, _PAUSE_FACTOR * self._cost) if self._seconds else 0.0
        if self._ranks.max_over_ranks(int(time.monotonic() - self._saved_at >= pause)):
            check(step)
            self.save(step)

    def save(self, step: int) -> None:
        """Save the state after `step` steps."""
        started = time.monotonic()
        with atomic_file(self._paths[self._next]) as path:
            sealed_tensors.save(path, self._tensors(step), self._owner())
        self._next = 1 - self._next
        self._ranks.barrier()
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started

    def _step(self, path: Path) -> int:
        """Return how many steps were done when the file was saved; -1 where there is none that can be used."""
        try:
            return int(sealed_tensors.load(path, self._tensors(0), self._owner())["step"])
        except FileNotFoundError:
            return -1
        except (ValueError, OSError) as error:
            aside = path.with_name(f"{path.name}{BAD}")
            path.replace(aside)
            reason = error.strerror if isinstance(error, OSError) else error
            _log.warning("checkpoint %s cannot be used (%s); it is now %s", path, reason, aside.name)
            return -1

    def _tensors(self, step: int) -> dict[str, torch.Tensor]:
        tensors = {"step": torch.tensor(step)}
        tensors |= {f"model.{name}": tensor for name, tensor in self._model.tensors().items()}
        return tensors | {f"optimiser.{name}": tensor for name, tensor in self._model.optimiser_tensors().items()}

    def _owner(self) -> bytes:
        return self._owner_path.read_bytes() if self._owner_path.exists() else b""


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
