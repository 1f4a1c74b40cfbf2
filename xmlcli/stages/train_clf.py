"""Stage train-clf, phase 3: encoder and classifiers on positives and shortlisted negatives."""

from __future__ import annotations

from xmlcli.kinds import has_label_rows
from xmlcli.linear import train_linear
from xmlcli.model import Model, empty_model
from xmlcli.own_problems import own_problems
from xmlcli.schedule import Schedule
from xmlcli.stages.checkpoint import Checkpoint
from xmlcli.stages.job import Job
from xmlcli.stages.owned import label_text, matrix
from xmlcli.training import TrainingData, train

VERSION = 2
SECTIONS = ("seed", "cycles", "model", "clf", "linear")


def run(job: Job) -> None:
    """Train one cycle from the classifiers of the cycle before and write the artifact `clf`."""
    prepared, shortlist, ranks = job.read("prepared"), job.read("shortlist"), job.ranks
    X, Y = (matrix(prepared, f"{table}_train.npz", ranks) for table in "XY")
    data = TrainingData.of(X, Y, shortlist.array("indices.npy", mmap=ranks.size > 1), ranks)
    schedule = Schedule.of(data.num_documents, job.config.cycles, job.config.clf)
    model = _load(job, X.shape[1], Y.shape[1])
    cycle = job.call.cycle or 1
    checkpoint = Checkpoint(job.scratch / "model.safetensors", model, job.config.clf.checkpoint_seconds, ranks)
    train(
        model, data, schedule, cycle=cycle, seed=job.config.seed, start=checkpoint.restore(),
        after_step=checkpoint.tick, progress=job.progress,
    )  # fmt: skip
    linear = None
    if job.config.linear.enabled and cycle == job.config.cycles:
        checkpoint.save(schedule.steps)
        linear = train_linear(
            *own_problems(data, X), label_text(prepared, ranks), job.config.linear,
            first_label=ranks.share(Y.shape[1]).start, progress=job.progress,
        )  # fmt: skip
    job.note_label_rows(len(model.classifiers.weight))
    with job.write() as out:
        for name, tensors in (("model", model.tensors()), ("optimiser", model.optimiser_tensors())):
            out.tensors(f"{name}.safetensors", tensors, split=set(filter(has_label_rows, tensors)))
        if linear is not None:
            out.csr_rows("linear.npz", linear)
        out.json("state.json", {"cycle": cycle, "steps": cycle * schedule.steps})


def _load(job: Job, num_tokens: int, num_labels: int) -> Model:
    """Return the model of the cycle before, with its optimisers' state where it has any."""
    clf, share = job.read("clf"), job.ranks.share(num_labels)
    model = empty_model(
        num_tokens, share.stop - share.start, job.config.model, job.config.clf.optimiser, device=job.device
    )
    weights, state = (
        clf.tensor_rows(name, share, has_label_rows) if clf.has(name) else None
        for name in ("model.safetensors", "optimiser.safetensors")
    )
    assert weights is not None
    model.load(weights, state)
    return model
