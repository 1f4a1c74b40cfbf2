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

from xmlcli.batches import Rows, take_rows
from xmlcli.encoder import TokenUse, bag
from xmlcli.model import Classifiers, Model
from xmlcli.progress import Progress, silent
from xmlcli.ranks import ALONE, Ranks, stack_csr
from xmlcli.runtime import matrix_dtype, one_thread_each, seed_torch
from xmlcli.schedule import Schedule
from xmlcli.targets import Targets, draw_targets
from xmlcli.threads import num_threads, over_rows

Ints = npt.NDArray[np.int32]

_TILE = 64  # bytes, of which a processor multiplies whole tiles
_LABELS = 32  # that a slice is filled up to an odd multiple of
_SLICE = 1024  # labels, about, whose loss one thread computes at a time: what they need fits its cache


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

    def batch(self, rows: npt.NDArray[np.int64], width: int, ranks: Ranks) -> tuple[Rows, Rows, Ints]:
        """Return X, Y and the first `width` of the shortlists of documents, counted over all ranks, in that order.

        Every rank gets the whole batch: its sparse rows are smaller than any vectors made of them.
        """
        share = ranks.share(self.num_documents)
        mine = rows[(rows >= share.start) & (rows < share.stop)] - share.start
        X, Y, shortlist = take_rows(self.X, mine), take_rows(self.Y, mine), self.shortlist[mine, :width]
        if ranks.size == 1:
            return X, Y, shortlist
        parts = ranks.gather(np.diff(X.indptr), X.indices, X.data, np.diff(Y.indptr), Y.indices, Y.data, shortlist)
        place = np.argsort(np.argsort(ranks.owners(rows, self.num_documents), kind="stable"))
        X, Y = (stack_csr([part[at : at + 3] for part in parts], table.shape[1]) for at, table in ((0, X), (3, Y)))
        return take_rows(X, place), take_rows(Y, place), np.concatenate([part[6] for part in parts])[place]


@dataclass(frozen=True)
class Step:
    """What one step is made of: the batch's features by document and by token, its targets, the seed of its dropout."""

    X: Rows
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


Move = Callable[[torch.Tensor, torch.Tensor], None]
"""Moves labels int64 (U,) against the gradient by their weights and biases, float32 (U, D + 1)."""


def label_gradients(
    documents: torch.Tensor, classifiers: Classifiers, targets: Targets, move: Move, pool: Executor
) -> torch.Tensor:
    """Return the gradient by documents, float32 (B, D), of a batch's masked logistic loss; `move` gets those by labels.

    documents: float32 (B, D). Each thread computes the loss of a slice of the labels and moves them at once, while they
    are in its cache. A bias is the weight of one more entry of a document, which is 1. Slices are filled up with labels
    of zeros, to sizes that come again: a product is prepared for each shape anew, which takes as long as the product.
    """
    device, (B, D), U = documents.device, documents.shape, len(targets.labels)
    dtype = matrix_dtype(device.type)
    size = slice_size(U, num_threads()) if device.type == "cpu" else multiple(U, _LABELS)
    h = torch.zeros(B, multiple(D + 1, _TILE // dtype.itemsize), dtype=dtype, device=device)
    h[:, :D] = documents
    h[:, D] = 1

    def of_slice(start: int) -> torch.Tensor:
        """Move a slice of the labels; return what it adds to the gradient by documents, (B, D')."""
        own = slice(start, min(start + size, U))
        labels = torch.from_numpy(targets.labels[own]).to(device)
        weight = torch.zeros(size, h.shape[1], dtype=dtype, device=device)
        weight[: len(labels), :D] = classifiers.weight.index_select(0, labels)
        weight[: len(labels), D] = classifiers.bias[labels, 0]
        grad = (h @ weight.T).sigmoid_()  # (B, size)
        first, last = np.searchsorted(targets.columns, (own.start, own.stop))
        at, columns = (
            torch.from_numpy(places).to(device)
            for places in (targets.rows[first:last], targets.columns[first:last] - start)
        )
        grad[at, columns] -= 1
        if targets.mask is not None:
            grad[:, : len(labels)] *= torch.from_numpy(targets.mask[:, own]).to(device)
        move(labels, (grad.T @ h)[: len(labels), : D + 1].float())
        return grad @ weight

    starts = range(0, U, size)
    total = torch.zeros(B, h.shape[1], device=device)
    for part in (pool.map if len(starts) > 1 else map)(of_slice, starts):
        total += part
    return total[:, :D].contiguous()


def slice_size(num_labels: int, threads: int) -> int:
    """Return how many labels a slice has: all of few, otherwise the same for each thread in each of its turns.

    It is an odd multiple of `_LABELS`: rows a power of two apart would fall on each other's place in the cache.
    """
    turns = num_labels // (threads * _SLICE) + 1
    slices = threads * turns if num_labels > _SLICE else 1
    return multiple(-(-num_labels // slices) + _LABELS, 2 * _LABELS) - _LABELS


def multiple(number: int, of: int) -> int:
    """Return the next multiple of `of`; the first one for 0."""
    return max(-(-number // of), 1) * of


def train_step(
    model: Model, step: Step, *, learning_rate: float, residual_rate: float, pool: Executor, ranks: Ranks = ALONE
) -> None:
    """Do one step of masked logistic loss.

    Of several ranks each has the classifiers of its labels, and the encoder, which moves alike on all.
    """
    seed_torch(step.seed, model.encoder.tokens.device)
    model.encoder.train()
    bags = bag(step.X, model.encoder.tokens.data).requires_grad_()
    h = model.encoder.head(bags)  # (B, D)
    model.weight_optimiser.begin(learning_rate)
    model.bias_optimiser.begin(learning_rate)

    def move_labels(labels: torch.Tensor, grad: torch.Tensor) -> None:
        model.weight_optimiser.move(labels, grad[:, :-1].contiguous())
        model.bias_optimiser.move(labels, grad[:, -1:].contiguous())

    by_documents = ranks.sum(label_gradients(h.detach(), model.classifiers, step.targets, move_labels, pool))
    if model.residual_optimiser is not None:
        model.residual_optimiser.zero_grad()
    (h * by_documents).sum().backward()  # type: ignore[no-untyped-call]  # h.backward(…) would import sympy
    if model.residual_optimiser is not None:
        model.residual_optimiser.step(residual_rate)
    by_bags, tokens = bags.grad, torch.from_numpy(step.use.rows).to(bags.device)
    assert by_bags is not None
    model.tokens_optimiser.begin(learning_rate)

    def move_tokens(first: int, last: int) -> None:
        model.tokens_optimiser.move(tokens[first:last], step.use.gradient(by_bags, first, last))

    if bags.device.type == "cpu":
        over_rows(len(tokens), move_tokens, cost=4 * h.shape[1])
    else:
        move_tokens(0, len(tokens))


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
