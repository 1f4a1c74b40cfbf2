"""Stage train-clf, phase 3: train encoder and classifiers on positives and shortlisted negatives.

The training documents for validation take no part: on them the stage `combine` fits the combination of scores, before
`finish` lets them count.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.divergence import DivergenceCheck
from xmlcli.classifiers.one_vs_rest import LinearTraining, stack
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.sharded_problems import own_problems
from xmlcli.classifiers.tensor_names import has_label_rows
from xmlcli.classifiers.training import train
from xmlcli.classifiers.training_state import TrainingState, empty_state
from xmlcli.machine.threads import in_background
from xmlcli.stages.checkpoint import Checkpoint
from xmlcli.stages.inputs import all_rows, label_words, matrix, without_validation
from xmlcli.stages.job import Job
from xmlcli.storage.writing import Writer

VERSION = 7
SECTIONS = ("seed", "cycles", "model", "clf", "linear")


def run(job: Job) -> None:
    """Train one cycle from the classifiers of the cycle before, and write the artifact `clf`.

    The model is written and its memory released before the linear one-vs-rest part is finished, which needs only the
    documents.
    """
    cycle, prepared = job.call.cycle or 1, job.read("prepared")
    documents = without_validation(prepared)
    model, steps, linear = _train(job, cycle, documents)
    num_tokens = len(model.encoder.tokens)
    job.note_label_rows(len(model.classifiers.weight))
    with job.write() as out:
        _write(out, "model.safetensors", model.tensors())
        if cycle < job.config.cycles:
            _write(out, "optimiser.safetensors", model.optimiser_tensors())
        out.json("state.json", {"cycle": cycle, "steps": cycle * steps, "documents": documents})
        del model
        if linear is not None:
            out.csr_rows("linear.npz", stack(linear.finish(job.progress), num_tokens))


def _train(job: Job, cycle: int, documents: int) -> tuple[TrainingState, int, LinearTraining | None]:
    """Return the trained model, the steps of a cycle, and in the last cycle the partly trained linear part."""
    prepared, shortlist, ranks = job.read("prepared"), job.read("shortlist"), job.ranks
    data = TrainingData.of(
        matrix(prepared, "X_train.npz", documents, ranks), matrix(prepared, "Y_train.npz", documents, ranks),
        shortlist.array("indices.npy", mmap=True), ranks,
    )  # fmt: skip
    schedule = Schedule.of(data.num_documents, job.config.cycles, job.config.clf)
    share = ranks.share(data.Y.shape[1])
    model = _load(job, data.X.shape[1], share)
    checkpoint = Checkpoint(job.scratch / "model.safetensors", model, job.config.clf.checkpoint_seconds, ranks)
    X_all = all_rows(prepared, "X_train.npz", data.X, documents, ranks)
    problems = own_problems(data, X_all) if job.config.linear.enabled and cycle == job.config.cycles else None
    data = data.for_steps(job.config.clf)
    divergence = DivergenceCheck(model, data, schedule, cycle=cycle, seed=job.config.seed)
    start = checkpoint.restore()
    linear = None if problems is None else LinearTraining(
        X_all, problems, label_words(prepared, documents, ranks), job.config.linear, first_label=share.start
    )  # fmt: skip

    def after_step(done: int) -> None:
        divergence.after_step(done)
        checkpoint.tick(done, divergence.require_finite)

    sent = ranks.sent
    with in_background(None if linear is None else linear.queue):
        train(
            model, data, schedule, cycle=cycle, seed=job.config.seed, start=start,
            after_step=after_step, progress=job.progress,
        )  # fmt: skip
    if ranks.size > 1 and start < schedule.steps:
        job.notes["bytes_sent_a_step"] = ranks.max_over_ranks((ranks.sent - sent) // (schedule.steps - start))
    if linear is not None:
        checkpoint.tick(schedule.steps)
    return model, schedule.steps, linear


def _write(out: Writer, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    out.tensors(name, tensors, split=set(filter(has_label_rows, tensors)))


def _load(job: Job, num_tokens: int, share: slice) -> TrainingState:
    """Return the model of the cycle before for the labels in `share`, with its optimisers' state if it has any."""
    clf = job.read("clf")
    model = empty_state(
        num_tokens, share.stop - share.start, job.config.model, job.config.clf.optimiser, device=job.device
    )
    weights, state = (
        clf.tensor_rows(name, share, has_label_rows) if clf.has(name) else None
        for name in ("model.safetensors", "optimiser.safetensors")
    )
    assert weights is not None
    model.load(weights, state)
    return model
