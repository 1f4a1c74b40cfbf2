"""Phase 3: encoder and classifiers are trained together on positives and shortlisted negatives.

One step takes a batch of documents, the union of their labels, of their shortlists' heads and of a few random labels,
and the logistic loss of all documents on all labels of that union: one matrix product instead of a gather of rows for
each document (`negatives: batch`). With `negatives: document`, as the authors do, a document's loss counts only its own
positives and shortlist. Gradients by classifier rows and token rows are formed by hand and go to row optimisers.

Every step draws its random numbers from (seed, cycle, step) alone, so a run that goes on from a checkpoint makes the
same steps as one that was never stopped. A thread draws the next step while the main one makes its forward pass, which
leaves the second processor idle.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from xmlcli.arrays import Floats, Ints
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.targets import Targets, draw_targets
from xmlcli.classifiers.training_state import Classifiers, TrainingState
from xmlcli.config.sections import ClfConfig
from xmlcli.distributed.ranks import ALONE, Ranks, stack_csr
from xmlcli.encoder.encoder import Encoder, TokenUse, bag
from xmlcli.encoder.head import HeadPass, draw_kept
from xmlcli.kernels.csr import CsrRows, take_rows
from xmlcli.machine.threads import map_on_threads, num_threads, over_rows
from xmlcli.machine.torch_threads import matrix_dtype, one_thread_each
from xmlcli.progress import Progress, silent

_LABELS = 32  # that a slice is filled up to an odd multiple of
_SLICE = 1024  # labels at most, about, whose loss one thread computes at a time: what they need fits its cache


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

    def for_steps(self, config: ClfConfig) -> TrainingData:
        """Return the same without what steps leave out of the shortlists."""
        width = self.shortlist.shape[1] if config.negatives == "document" else config.hard_negatives
        return replace(self, shortlist=np.ascontiguousarray(self.shortlist[:, :width]))

    def batch(self, rows: npt.NDArray[np.int64]) -> tuple[CsrRows, CsrRows, Ints]:
        """Return X, Y and shortlists of documents, counted over all ranks, in that order.

        Every rank gets the whole batch: its sparse rows are smaller than any vectors made of them.
        """
        ranks = self.ranks
        if ranks.size == 1:
            return take_rows(self.X, rows), take_rows(self.Y, rows), self.shortlist[rows]
        share = ranks.share(self.num_documents)
        mine = rows[(rows >= share.start) & (rows < share.stop)] - share.start
        X, Y, shortlist = take_rows(self.X, mine), take_rows(self.Y, mine), self.shortlist[mine]
        parts = ranks.all_gather(np.diff(X.indptr), X.indices, X.data, np.diff(Y.indptr), Y.indices, Y.data, shortlist)
        place = np.argsort(np.argsort(ranks.owners(rows, self.num_documents), kind="stable"))
        X, Y = (stack_csr([part[at : at + 3] for part in parts], table.shape[1]) for at, table in ((0, X), (3, Y)))
        return take_rows(X, place), take_rows(Y, place), np.concatenate([part[6] for part in parts])[place]


@dataclass(frozen=True)
class Step:
    """What one step is made of: the batch's features by document and by token, its targets, what dropout keeps."""

    X: CsrRows
    use: TokenUse
    targets: Targets
    kept: list[Floats]


def draw_step(data: TrainingData, schedule: Schedule, number: int, encoder: Encoder, *, cycle: int, seed: int) -> Step:
    """Draw a step (0 is the cycle's first) from (seed, cycle, number), alike on all ranks but for the targets."""
    epoch, batch = divmod(number, schedule.steps_an_epoch)
    config, L = schedule.config, data.Y.shape[1]
    rows = _order(data.num_documents, seed, cycle, epoch)[
        batch * schedule.batch_size : (batch + 1) * schedule.batch_size
    ]
    rng = np.random.default_rng((seed, cycle, epoch, batch))
    kept = draw_kept(1 if encoder.residual is None else 2, len(rows), encoder.dim, encoder.dropout, rng)
    X, Y, shortlist = data.batch(rows)
    targets = draw_targets(Y, shortlist, data.trainable, config, rng).of_labels(data.ranks.share(L), L)
    return Step(X, TokenUse.of(X), targets, kept)


@lru_cache(maxsize=2)
def _order(num_documents: int, seed: int, cycle: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, cycle, epoch)).permutation(num_documents)


Move = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]
"""Moves labels int64 (U,) against the gradients by their weights, float32 (U, D), and biases, float32 (U, 1)."""


def label_gradients(
    documents: torch.Tensor, classifiers: Classifiers, targets: Targets, move: Move, pool: Executor
) -> torch.Tensor:
    """Return the gradient by documents, float32 (B, D), of a batch's masked logistic loss; `move` gets those by labels.

    documents: float32 (B, D). Each thread computes the loss of a slice of the labels and moves them at once, while they
    are in its cache. Slices are filled up, with a label that then counts nothing, to sizes that come again: a product
    may be prepared for each shape anew, which takes as long as the product.
    """
    device, U = documents.device, len(targets.labels)
    dtype = matrix_dtype(device.type)
    size = slice_size(U, num_threads()) if device.type == "cpu" else multiple(U, _LABELS)
    h, num_slices = documents.to(dtype), -(-U // size)
    filled = np.zeros(num_slices * size, np.int64)
    filled[:U] = targets.labels
    labels = torch.from_numpy(filled).to(device)
    positives = torch.from_numpy(targets.rows * size + targets.columns % size).to(device)
    minus_one = torch.full((1,), -1, dtype=dtype, device=device).expand(len(positives))
    ends = np.searchsorted(targets.columns, np.arange(num_slices + 1) * size)

    def of_slice(number: int) -> torch.Tensor:
        """Move a slice of the labels; return what it adds to the gradient by documents, (B, D).

        What waits for Python's lock has been done before: the other threads' slices hold it meanwhile.
        """
        own = slice(number * size, min((number + 1) * size, U))
        count, there = own.stop - own.start, slice(ends[number], ends[number + 1])
        some = labels[number * size : (number + 1) * size]
        weight = classifiers.weight.index_select(0, some).to(dtype)
        bias = classifiers.bias.index_select(0, some).to(dtype)
        bias[count:] = -math.inf
        grad = F.linear(h, weight, bias[:, 0]).sigmoid_()  # (B, size)
        grad.put_(positives[there], minus_one[there], accumulate=True)
        if targets.mask is not None:
            grad[:, :count] *= torch.from_numpy(targets.mask[:, own]).to(device)
        by_documents = grad @ weight
        by_weight, by_bias = (grad.T @ h)[:count], grad.sum(dim=0, dtype=torch.float32)[:count, None]
        move(some[:count], by_weight.float(), by_bias)
        return by_documents

    total = torch.zeros(documents.shape, device=device)
    for part in map_on_threads(of_slice, range(num_slices), pool):
        total += part
    return total


def slice_size(num_labels: int, threads: int) -> int:
    """Return how many labels a slice has: the same for each thread in each of its turns, of threads worth waking.

    It is an odd multiple of `_LABELS`: rows a power of two apart would fall on each other's place in the cache.
    """
    busy = max(min(threads, (num_labels - 1) // (_SLICE // 2)), 1)
    slices = busy * max(-(-num_labels // (busy * _SLICE)), 1)
    return multiple(-(-num_labels // slices) + _LABELS, 2 * _LABELS) - _LABELS


def multiple(number: int, of: int) -> int:
    """Return the next multiple of `of`; the first one for 0."""
    return max(-(-number // of), 1) * of


def train_step(
    model: TrainingState, step: Step, *, learning_rate: float, token_rate: float, pool: Executor, ranks: Ranks = ALONE
) -> None:
    """Do one step of masked logistic loss; token vectors move at `token_rate`, all else at `learning_rate`.

    Of several ranks each has the classifiers of its labels, and the encoder, which moves alike on all.
    """
    device = model.encoder.tokens.device
    head = HeadPass(
        model.encoder, bag(step.X, model.encoder.tokens.data), [torch.from_numpy(k).to(device) for k in step.kept]
    )
    model.weight_optimiser.begin(learning_rate)
    model.bias_optimiser.begin(learning_rate)

    def move_labels(labels: torch.Tensor, by_weight: torch.Tensor, by_bias: torch.Tensor) -> None:
        model.weight_optimiser.move(labels, by_weight)
        model.bias_optimiser.move(labels, by_bias)

    by_documents = label_gradients(head.vectors, model.classifiers, step.targets, move_labels, pool)
    by_documents = ranks.all_reduce_sum(by_documents)
    by_bags, tokens = head.backward(by_documents), torch.from_numpy(step.use.rows).to(device)
    if model.residual_optimiser is not None:
        model.residual_optimiser.step(learning_rate)
    model.tokens_optimiser.begin(token_rate)

    def move_tokens(first: int, last: int) -> None:
        model.tokens_optimiser.move(tokens[first:last], step.use.gradient(by_bags, first, last))

    if device.type == "cpu":
        over_rows(len(tokens), move_tokens, cost=4 * model.encoder.dim)
    else:
        move_tokens(0, len(tokens))


def train(
    model: TrainingState,
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
    draw = partial(draw_step, data, schedule, encoder=model.encoder, cycle=cycle, seed=seed)
    with one_thread_each() as pool:
        steps = _drawn(draw, range(start, schedule.steps), pool if data.ranks.size == 1 else None)
        for number, step in enumerate(steps, start):
            rate = schedule.learning_rate(cycle, number)
            train_step(
                model,
                step,
                learning_rate=rate,
                token_rate=rate * schedule.token_share,
                pool=pool,
                ranks=data.ranks,
            )
            after_step(number + 1)
            progress("train", number + 1, schedule.steps)


def _drawn(draw: Callable[[int], Step], numbers: range, pool: Executor | None) -> Iterator[Step]:
    """Yield the steps of these numbers, each drawn while the one before is made.

    Without a pool a step is drawn when it is asked for: what ranks send each other must keep its order.
    """
    if pool is None:
        yield from map(draw, numbers)
        return
    ahead = deque(pool.submit(draw, number) for number in numbers[:1])
    for number in numbers[1:]:
        step = ahead.popleft().result()
        ahead.append(pool.submit(draw, number))
        yield step
    yield from (last.result() for last in ahead)
