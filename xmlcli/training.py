"""Phase 3: encoder and classifiers are trained together on positives and shortlisted negatives.

One step takes a batch of documents, the union of their labels, of their shortlists' heads and of a few random labels,
and the logistic loss of all documents on all labels of that union: one matrix product instead of a gather of rows for
each document (`negatives: batch`). With `negatives: document`, as the authors do, a document's loss counts only its own
positives and shortlist. Gradients by classifier rows and token rows are formed by hand and go to row optimisers.

Every step draws its random numbers from (seed, cycle, step) alone, so a run that goes on from a checkpoint makes the
same steps as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from xmlcli.config import ClfConfig
from xmlcli.encoder import Batch, token_gradient
from xmlcli.model import Model
from xmlcli.progress import Progress, silent
from xmlcli.runtime import product

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class TrainingData:
    """Documents with at least one feature and one label.

    Attributes:
        X: float32 CSR (N, F).
        Y: float32 CSR (N, L).
        shortlist: int32 (N, k), nearest label first, padded with L.
        trainable: int64 (L',), labels with documents; others are no negatives.
    """

    X: sp.csr_matrix
    Y: sp.csr_matrix
    shortlist: Ints
    trainable: npt.NDArray[np.int64]

    @staticmethod
    def of(X: sp.csr_matrix, Y: sp.csr_matrix, shortlist: Ints) -> TrainingData:
        """Drop the documents without features or without labels."""
        rows = np.flatnonzero((X.getnnz(axis=1) > 0) & (Y.getnnz(axis=1) > 0))
        return TrainingData(X[rows], Y[rows], shortlist[rows], np.flatnonzero(Y.getnnz(axis=0)))


@dataclass(frozen=True)
class Schedule:
    """How many steps there are in a cycle and in all, and the learning rate of each.

    Small collections get more epochs, until `min_documents` documents have been seen over all cycles, and smaller
    batches, until an epoch has `min_batches` of them: the number of steps that training needs hardly depends on the
    number of documents.
    """

    batch_size: int
    steps_an_epoch: int
    epochs: int
    cycles: int
    config: ClfConfig

    @staticmethod
    def of(num_documents: int, cycles: int, config: ClfConfig) -> Schedule:
        """Derive the schedule of a collection from its number of training documents."""
        fitting = max(num_documents // config.min_batches, 1)
        batch_size = min(config.batch_size, max(32, 2 ** (fitting.bit_length() - 1)))
        wanted = -(-config.min_documents // max(num_documents * cycles, 1))
        epochs = min(max(config.epochs, wanted), config.max_epochs)
        return Schedule(batch_size, -(-num_documents // batch_size), epochs, cycles, config)

    @property
    def steps(self) -> int:
        """Steps of one cycle."""
        return self.epochs * self.steps_an_epoch

    def learning_rate(self, cycle: int, step: int) -> float:
        """Return the rate of a step (0 is the cycle's first) in a cycle (1 is the first)."""
        done = (cycle - 1) * self.steps + step
        if self.config.schedule == "linear":
            total = self.cycles * self.steps
            warm = min(1.0, (done + 1) / max(0.05 * total, 1))
            return self.config.learning_rate * warm * max(0.02, 1 - done / total)
        return self.config.learning_rate * 0.5 ** halvings(done // self.steps_an_epoch, self.config.halve_after)


def halvings(epoch: int, after: int) -> int:
    """Return how often the authors' schedule has halved the rate by the start of `epoch` (method notes, section 3).

    At an epoch that the gap divides the rate is halved and so is the gap, which never falls below 5.
    """
    count, gap = 0, after
    for e in range(1, epoch + 1):
        if e % gap == 0:
            count, gap = count + 1, max(5, gap // 2)
    return count


@dataclass(frozen=True)
class Targets:
    """The labels that a batch is trained on.

    Attributes:
        labels: int64 (U,), sorted.
        rows, columns: int64, where documents and labels belong together.
        mask: bool (B, U), the cells that count, or None where all do.
    """

    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    mask: npt.NDArray[np.bool_] | None


def draw_targets(
    Y: sp.csr_matrix, shortlist: Ints, trainable: npt.NDArray[np.int64], config: ClfConfig, rng: np.random.Generator
) -> Targets:
    """Choose the labels of a batch with truth Y (B, L) and shortlists int32 (B, k)."""
    num_labels = Y.shape[1]
    rows, positives = Y.nonzero()
    if config.max_positives is not None:
        keep = _at_most(Y, config.max_positives, rng)
        rows, positives = rows[keep], positives[keep]
    if config.negatives == "document":
        shortlist = _own_shortlist(rows, positives, shortlist, num_labels)
    else:
        shortlist = shortlist[:, : config.hard_negatives]
    near = shortlist[shortlist < num_labels]
    drawn = rng.choice(trainable, config.random_negatives) if config.random_negatives else trainable[:0]
    labels = np.unique(np.concatenate([positives, near, drawn])).astype(np.int64)
    mask = None
    if config.negatives == "document":
        mask = np.zeros((Y.shape[0], len(labels)), bool)
        mask[rows, np.searchsorted(labels, positives)] = True
        there = shortlist < num_labels
        mask[np.nonzero(there)[0], np.searchsorted(labels, shortlist[there])] = True
    else:
        labels = labels[np.isin(labels, trainable, assume_unique=True)]
    return Targets(labels, rows.astype(np.int64), np.searchsorted(labels, positives), mask)


def _at_most(Y: sp.csr_matrix, most: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Mark `most` positives of each row of Y, drawn without replacement; bool (nnz,) in CSR order."""
    rows = np.repeat(np.arange(Y.shape[0]), np.diff(Y.indptr))
    order = np.lexsort((rng.random(Y.nnz), rows))
    keep = np.zeros(Y.nnz, bool)
    keep[order] = np.arange(Y.nnz) - Y.indptr[rows] < most
    return keep


def _own_shortlist(
    rows: npt.NDArray[np.int64], positives: npt.NDArray[np.int64], shortlist: Ints, num_labels: int
) -> Ints:
    """Return the shortlists with each document's `positives` put first, and cut to the old length."""
    k = shortlist.shape[1]
    own = sp.csr_matrix((np.ones(len(rows), bool), (rows, positives)), shape=(shortlist.shape[0], num_labels + 1))
    is_positive = own[np.repeat(np.arange(len(shortlist)), k), shortlist.ravel()].A1.reshape(shortlist.shape)
    counts = np.diff(own.indptr)[:, None]
    place = np.cumsum(~is_positive, axis=1) - 1 + counts  # the column of each negative
    out = np.full_like(shortlist, num_labels)
    fits = ~is_positive & (place < k)
    out[np.nonzero(fits)[0], place[fits]] = shortlist[fits]
    return out


def train_step(
    model: Model, X: sp.csr_matrix, targets: Targets, *, learning_rate: float, residual_rate: float
) -> torch.Tensor:
    """Do one step of masked logistic loss on a batch X (B, F); return the gradient by the logits, (B, U)."""
    device = model.encoder.tokens.device
    model.encoder.train()
    bags = Batch.of(X, device).bag(model.encoder.tokens.data).requires_grad_()
    h = model.encoder.head(bags)  # (B, D)
    labels = torch.from_numpy(targets.labels).to(device)
    weight = model.classifiers.weight[labels]  # (U, D)
    documents = h.detach()
    grad = torch.sigmoid(product(documents, weight.T) + model.classifiers.bias[labels].T)  # (B, U)
    grad[torch.from_numpy(targets.rows).to(device), torch.from_numpy(targets.columns).to(device)] -= 1
    if targets.mask is not None:
        grad *= torch.from_numpy(targets.mask).to(device)
    if model.residual_optimiser is not None:
        model.residual_optimiser.zero_grad()
    h.backward(product(grad, weight))  # type: ignore[no-untyped-call]
    model.weight_optimiser.step(labels, product(grad.T, documents), learning_rate)
    model.bias_optimiser.step(labels, grad.sum(dim=0)[:, None], learning_rate)
    if model.residual_optimiser is not None:
        model.residual_optimiser.step(residual_rate)
    assert bags.grad is not None
    rows, gradient = token_gradient(X, bags.grad)
    model.tokens_optimiser.step(rows, gradient, learning_rate)
    return grad


def train(
    model: Model,
    data: TrainingData,
    schedule: Schedule,
    *,
    cycle: int,
    seed: int,
    start: int = 0,
    after_step: Callable[[int], None] = lambda done: None,
    progress: Progress = silent,
) -> None:
    """Train the model in place from step `start` to the end of the cycle; `after_step` hears how many are done."""
    config = schedule.config
    order = np.arange(0)
    for step in range(start, schedule.steps):
        epoch, batch = divmod(step, schedule.steps_an_epoch)
        if batch == 0 or step == start:
            order = np.random.default_rng((seed, cycle, epoch)).permutation(data.X.shape[0])
        rows = order[batch * schedule.batch_size : (batch + 1) * schedule.batch_size]
        rng = np.random.default_rng((seed, cycle, epoch, batch))
        torch.manual_seed(int(rng.integers(2**62)))
        targets = draw_targets(data.Y[rows], data.shortlist[rows], data.trainable, config, rng)
        rate = schedule.learning_rate(cycle, step)
        train_step(model, data.X[rows], targets, learning_rate=rate, residual_rate=rate * config.residual_rate)
        after_step(step + 1)
        progress("train", step + 1, schedule.steps)
