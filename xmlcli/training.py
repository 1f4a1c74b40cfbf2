"""Phase 3: encoder and classifiers are trained together on positives and shortlisted negatives.

One step takes a batch of documents, the union of their labels, of their shortlists' heads and of a few random labels,
and the logistic loss of all documents on all labels of that union: one matrix product instead of a gather of rows for
each document (`negatives: batch`). With `negatives: document`, as the authors do, a document's loss counts only its own
positives and shortlist. Gradients by classifier rows and token rows are formed by hand and go to row optimisers.

Every step draws its random numbers from (seed, cycle, step) alone, so a run that goes on from a checkpoint makes the
same steps as one that was never stopped. While a step is made, a thread draws the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from xmlcli.encoder import TokenUse, bag
from xmlcli.model import Model
from xmlcli.progress import Progress, silent
from xmlcli.ranks import ALONE, Ranks, stack_csr
from xmlcli.runtime import matrix_dtype, one_thread_each, seed_torch
from xmlcli.schedule import Schedule
from xmlcli.targets import Targets, draw_targets

Ints = npt.NDArray[np.int32]

_TILE = 64  # bytes, of which a processor multiplies whole tiles
_LABELS = 32  # that a slice is filled up to a multiple of
_SLICE = 33 * _LABELS  # labels, whose loss one thread computes: what they need fits its cache; no power of two


@dataclass(frozen=True)
class TrainingData:
    """Documents with at least one feature and one label; of several ranks each holds those it owns.

    Attributes:
        X: float32 CSR (N, F).
        Y: float32 CSR (N, L).
        shortlist: int32 (N, k), nearest label first, padded with L.
        trainable: int64 (L',), labels with documents; others are no negatives.
        rows: int64 (N,), which documents of the collection these are.
        num_documents: those of all ranks.
        ranks: who owns what.
    """

    X: sp.csr_matrix
    Y: sp.csr_matrix
    shortlist: Ints
    trainable: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    num_documents: int
    ranks: Ranks = ALONE

    @staticmethod
    def of(X: sp.csr_matrix, Y: sp.csr_matrix, shortlist: Ints, ranks: Ranks = ALONE) -> TrainingData:
        """Drop the documents without features or without labels; of the others take those that this rank owns.

        The arguments have the rows of all ranks; where there are several, they are read from the disk as needed.
        """
        rows = np.flatnonzero((X.getnnz(axis=1) > 0) & (Y.getnnz(axis=1) > 0))
        own = rows[ranks.share(len(rows))]
        trainable = np.flatnonzero(Y.getnnz(axis=0))
        return TrainingData(X[own], Y[own], np.asarray(shortlist[own]), trainable, own, len(rows), ranks)

    def batch(self, rows: npt.NDArray[np.int64], width: int, ranks: Ranks) -> tuple[sp.csr_matrix, sp.csr_matrix, Ints]:
        """Return X, Y and the first `width` of the shortlists of documents, counted over all ranks, in that order.

        Every rank gets the whole batch: its sparse rows are smaller than any vectors made of them.
        """
        share = ranks.share(self.num_documents)
        mine = rows[(rows >= share.start) & (rows < share.stop)] - share.start
        X, Y, shortlist = self.X[mine], self.Y[mine], self.shortlist[mine, :width]
        if ranks.size == 1:
            return X, Y, shortlist
        parts = ranks.gather(np.diff(X.indptr), X.indices, X.data, np.diff(Y.indptr), Y.indices, Y.data, shortlist)
        place = np.argsort(np.argsort(ranks.owners(rows, self.num_documents), kind="stable"))
        X, Y = (stack_csr([part[at : at + 3] for part in parts], table.shape[1]) for at, table in ((0, X), (3, Y)))
        return X[place], Y[place], np.concatenate([part[6] for part in parts])[place]


@dataclass(frozen=True)
class Step:
    """What one step is made of: the batch's features by document and by token, its targets, the seed of its dropout."""

    X: sp.csr_matrix
    use: TokenUse
    targets: Targets
    seed: int


def draw_step(
    data: TrainingData, schedule: Schedule, number: int, *, cycle: int, seed: int, ranks: Ranks = ALONE
) -> Step:
    """Draw a step (0 is the cycle's first) from (seed, cycle, number), alike on all ranks but for the targets.

    `ranks` are those of the data, over a link that no other thread uses.
    """
    epoch, batch = divmod(number, schedule.steps_an_epoch)
    config, L = schedule.config, data.Y.shape[1]
    rows = _order(data.num_documents, seed, cycle, epoch)[
        batch * schedule.batch_size : (batch + 1) * schedule.batch_size
    ]
    rng = np.random.default_rng((seed, cycle, epoch, batch))
    dropout = int(rng.integers(2**62))
    width = data.shortlist.shape[1] if config.negatives == "document" else config.hard_negatives
    X, Y, shortlist = data.batch(rows, width, ranks)
    targets = draw_targets(Y, shortlist, data.trainable, config, rng).of_labels(ranks.share(L), L)
    return Step(X, TokenUse.of(X), targets, dropout)


@lru_cache(maxsize=2)
def _order(num_documents: int, seed: int, cycle: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, cycle, epoch)).permutation(num_documents)


@dataclass(frozen=True)
class Gradients:
    """The loss's gradients by document vectors, classifiers and biases.

    Attributes:
        documents: float32 (B, D).
        labels: by each label's (weight, bias, zeros), (U', D') of the type multiplied in; the first U count.
    """

    documents: torch.Tensor
    labels: torch.Tensor

    def by_weight(self, first: int, last: int) -> torch.Tensor:
        """Return the gradient by the classifiers of the batch's labels `first` to `last`, float32 (last - first, D)."""
        return self.labels[first:last, : self.documents.shape[1]].float().contiguous()

    def by_bias(self, first: int, last: int) -> torch.Tensor:
        """Return the gradient by their biases, float32 (last - first, 1)."""
        D = self.documents.shape[1]
        return self.labels[first:last, D : D + 1].float().contiguous()


def batch_gradients(documents: torch.Tensor, model: Model, targets: Targets, pool: Executor) -> Gradients:
    """Return the gradients of a batch's masked logistic loss, computed for a slice of its labels by each thread.

    documents: float32 (B, D). A bias is the weight of one more entry of a document, which is 1. The last slice is
    filled up with labels of zeros: a product is prepared for each shape anew, which takes as long as the product.
    """
    device, (B, D), U = documents.device, documents.shape, len(targets.labels)
    dtype = matrix_dtype(device.type)
    size, width = multiple(U, _LABELS), multiple(D + 1, _TILE // dtype.itemsize)
    if device.type == "cpu":
        size = min(size, _SLICE)
    h = torch.zeros(B, width, dtype=dtype, device=device)
    h[:, :D] = documents
    h[:, D] = 1
    by_labels = torch.empty(-(-U // size) * size, width, dtype=h.dtype, device=device)

    def of_slice(start: int) -> torch.Tensor:
        """Fill in a slice of `by_labels`; return what it adds to the gradient by documents, (B, D')."""
        own = slice(start, min(start + size, U))
        labels = torch.from_numpy(targets.labels[own]).to(device)
        weight = torch.zeros(size, width, dtype=h.dtype, device=device)
        weight[: len(labels), :D] = model.classifiers.weight.index_select(0, labels)
        weight[: len(labels), D] = model.classifiers.bias[labels, 0]
        grad = (h @ weight.T).sigmoid_()  # (B, size)
        there = (targets.columns >= own.start) & (targets.columns < own.stop)
        at, columns = (torch.from_numpy(places[there]).to(device) for places in (targets.rows, targets.columns))
        grad[at, columns - start] -= 1
        if targets.mask is not None:
            grad[:, : len(labels)] *= torch.from_numpy(targets.mask[:, own]).to(device)
        torch.mm(grad.T, h, out=by_labels[start : start + size])
        return grad @ weight

    starts = range(0, U, size)
    total = torch.zeros(B, width, device=device)
    for part in (pool.map if len(starts) > 1 else map)(of_slice, starts):
        total += part
    return Gradients(total[:, :D].contiguous(), by_labels)


def multiple(number: int, of: int) -> int:
    """Return the next multiple of `of`; the first one for 0."""
    return max(-(-number // of), 1) * of


def train_step(
    model: Model, step: Step, *, learning_rate: float, residual_rate: float, pool: Executor, ranks: Ranks = ALONE
) -> None:
    """Do one step of masked logistic loss.

    Of several ranks each has the classifiers of its labels, and the encoder, which moves alike on all.
    """
    device = model.encoder.tokens.device
    seed_torch(step.seed, device)
    labels = torch.from_numpy(step.targets.labels).to(device)
    model.encoder.train()
    bags = bag(step.X, model.encoder.tokens.data).requires_grad_()
    h = model.encoder.head(bags)  # (B, D)
    grad = batch_gradients(h.detach(), model, step.targets, pool)
    if model.residual_optimiser is not None:
        model.residual_optimiser.zero_grad()
    by_documents = ranks.sum(grad.documents)
    (h * by_documents).sum().backward()  # type: ignore[no-untyped-call]  # h.backward(…) would import sympy
    model.weight_optimiser.step(labels, grad.by_weight, learning_rate)
    model.bias_optimiser.step(labels, grad.by_bias, learning_rate)
    if model.residual_optimiser is not None:
        model.residual_optimiser.step(residual_rate)
    assert bags.grad is not None
    model.tokens_optimiser.step(*step.use.gradient(bags.grad), learning_rate)


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

    def draw(number: int) -> Future[Step] | None:
        if number >= schedule.steps:
            return None
        return pool.submit(draw_step, data, schedule, number, cycle=cycle, seed=seed, ranks=drawing)

    ranks, drawing = data.ranks, data.ranks.apart()

    with one_thread_each() as pool:
        coming = draw(start)
        for number in range(start, schedule.steps):
            assert coming is not None
            step, coming = coming.result(), draw(number + 1)
            rate = schedule.learning_rate(cycle, number)
            train_step(
                model,
                step,
                learning_rate=rate,
                residual_rate=rate * schedule.config.residual_rate,
                pool=pool,
                ranks=ranks,
            )
            after_step(number + 1)
            progress("train", number + 1, schedule.steps)
