"""Stage train-clf, phase 3: encoder and classifiers on positives and shortlisted negatives."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from xmlcli import files
from xmlcli.artifacts import Artifact
from xmlcli.linear import train_linear
from xmlcli.model import Model, empty_model
from xmlcli.schedule import Schedule
from xmlcli.stages.job import Job
from xmlcli.training import TrainingData, train

VERSION = 3
SECTIONS = ("seed", "cycles", "model", "clf", "linear")


def run(job: Job) -> None:
    """Train one cycle from the classifiers of the cycle before and write the artifact `clf`."""
    prepared, shortlist = job.read("prepared"), job.read("shortlist")
    X, Y, indices = prepared.csr("X_train.npz"), prepared.csr("Y_train.npz"), shortlist.array("indices.npy")
    data = TrainingData.of(X, Y, indices)
    schedule = Schedule.of(data.X.shape[0], job.config.cycles, job.config.clf)
    model = _load(job, X.shape[1], Y.shape[1])
    cycle = job.call.cycle or 1
    checkpoint = Checkpoint(job.scratch / "model.safetensors", model, job.config.clf.checkpoint_seconds)
    train(
        model, data, schedule, cycle=cycle, seed=job.config.seed, start=checkpoint.restore(),
        after_step=checkpoint.tick, progress=job.progress,
    )  # fmt: skip
    linear = None
    if job.config.linear.enabled and cycle == job.config.cycles:
        checkpoint.save(schedule.steps)
        linear = train_linear(
            data.X, data.Y, data.shortlist, prepared.csr("label_words.npz"), job.config.linear, progress=job.progress
        )
    with job.write() as out:
        out.tensors("model.safetensors", model.tensors())
        if cycle < job.config.cycles:
            out.tensors("optimiser.safetensors", model.optimiser_tensors())
        if linear is not None:
            out.csr("linear.npz", linear)
        out.json("state.json", {"cycle": cycle, "steps": cycle * schedule.steps})


def _load(job: Job, num_tokens: int, num_labels: int) -> Model:
    """Return the model of the cycle before, with its optimisers' state where it has any."""
    clf: Artifact = job.read("clf")
    model = empty_model(num_tokens, num_labels, job.config.model, job.config.clf.optimiser, device=job.device)
    has_state = clf.has("optimiser.safetensors")
    model.load(clf.tensors("model.safetensors"), clf.tensors("optimiser.safetensors") if has_state else None)
    return model


class Checkpoint:
    """The state of a cycle in the middle of its training, in one file that is replaced at once."""

    def __init__(self, path: Path, model: Model, seconds: float) -> None:
        self._path = path
        self._model = model
        self._seconds = seconds
        self._saved_at = time.monotonic()

    def restore(self) -> int:
        """Load the state of an earlier attempt and return how many steps it had done; 0 where there is none."""
        if not self._path.exists():
            return 0
        tensors = files.load_tensors(self._path)
        self._model.load(_under("model.", tensors), _under("optimiser.", tensors))
        return int(tensors["step"])

    def tick(self, step: int) -> None:
        """Save when enough time has passed since the last time."""
        if time.monotonic() - self._saved_at >= self._seconds:
            self.save(step)

    def save(self, step: int) -> None:
        """Save the state after `step` steps."""
        tensors = {"step": torch.tensor(step)}
        tensors |= {f"model.{name}": tensor for name, tensor in self._model.tensors().items()}
        tensors |= {f"optimiser.{name}": tensor for name, tensor in self._model.optimiser_tensors().items()}
        with files.atomic_file(self._path) as path:
            files.save_tensors(path, tensors)
        self._saved_at = time.monotonic()


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
