"""Optimisers of large tables that touch only the rows of a batch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Protocol

import numpy as np
import torch

from xmlcli.kernels.adam import AdamStep, move_rows


class RowOptimiser(Protocol):
    """Updates some rows of one table and keeps its state beside it.

    A step begins, and then moves rows, each once, in as many parts as is convenient, on any threads.
    """

    def begin(self, learning_rate: float) -> None:
        """Begin a step."""

    def move(self, rows: torch.Tensor, grad: torch.Tensor) -> None:
        """Move `rows` int64 (U,), ascending, against their gradient float32 (U, D)."""

    def state(self) -> dict[str, torch.Tensor]:
        """Return the state's tensors, the ones in use and no copies."""


class RowAdam:
    """Adam on the rows of the batch, the moments of other rows left as they are (torch's SparseAdam).

    With a first beta of 0 there is no momentum, and no first moment: RMSprop with Adam's correction of the start. A row
    that few batches touch has its momentum from long ago anyway.
    """

    def __init__(self, table: torch.Tensor, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        self.table = table
        self.betas = betas
        self.eps = eps
        self.first = torch.zeros_like(table) if betas[0] else None
        self.second = torch.zeros_like(table)
        self.steps = torch.zeros(1, dtype=torch.int64)
        self._rate = 0.0

    def begin(self, learning_rate: float) -> None:
        """See `RowOptimiser.begin`."""
        self.steps += 1
        t = int(self.steps)
        self._rate = learning_rate * (1 - self.betas[1] ** t) ** 0.5 / (1 - self.betas[0] ** t)

    def move(self, rows: torch.Tensor, grad: torch.Tensor) -> None:
        """See `RowOptimiser.move`."""
        if self.table.device.type == "cpu":
            self._move_on_cpu(rows, grad)
        else:
            self._move_on_card(rows, grad)

    def _move_on_card(self, rows: torch.Tensor, grad: torch.Tensor) -> None:
        tables = [table for table in (self.table, self.second, self.first) if table is not None]
        everything = len(rows) == len(self.table)
        moved = tables if everything else [table[rows] for table in tables]
        first = torch.zeros_like(grad) if self.first is None else moved[2]
        _adam_on_card((moved[0], first, moved[1]), grad, self._rate, self.betas, self.eps)
        if not everything:
            for table, moved_rows in zip(tables, moved, strict=True):
                table.index_copy_(0, rows, moved_rows)

    def _move_on_cpu(self, rows: torch.Tensor, grad: torch.Tensor) -> None:
        """Do the same in one pass over the rows, in place: a tenth of the time of gathers and scatters."""
        first = None if self.first is None else self.first.numpy()
        step = AdamStep(*map(np.float32, (self._rate, *self.betas, self.eps)))
        move_rows(self.table.numpy(), first, self.second.numpy(), rows.numpy(), grad.numpy(), step)

    def state(self) -> dict[str, torch.Tensor]:
        """See `RowOptimiser.state`."""
        tensors = {"second": self.second, "steps": self.steps}
        return tensors if self.first is None else {"first": self.first} | tensors


class DenseAdam:
    """Adam on all entries of a few small parameters: torch's, without the second that importing torch.optim takes."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._tables = [RowAdam(p.data.view(p.shape[0] if p.dim() > 1 else 1, -1)) for p in self._parameters]
        self._rows = [torch.arange(len(t.table), device=t.table.device) for t in self._tables]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        """Move every parameter against its gradient."""
        for parameter, table, rows in zip(self._parameters, self._tables, self._rows, strict=True):
            assert parameter.grad is not None, "the gradients have been computed"
            table.begin(learning_rate)
            table.move(rows, parameter.grad.view_as(table.table))

    def state(self) -> dict[str, torch.Tensor]:
        """Return the state's tensors, the ones in use and no copies."""
        return {f"{i}.{key}": tensor for i, table in enumerate(self._tables) for key, tensor in table.state().items()}


Tables = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _adam_on_card(tables: Tables, grad: torch.Tensor, rate: float, betas: tuple[float, float], eps: float) -> None:
    """Move all rows of a table and its moments, by torch's own kernel: one launch instead of ten."""
    table, first, second = tables
    torch._fused_adam_(
        [table], [grad], [first], [second], [], [_late_step(table.device)], lr=rate, beta1=betas[0], beta2=betas[1],
        weight_decay=0.0, eps=eps, amsgrad=False, maximize=False,
    )  # fmt: skip


@cache
def _late_step(device: torch.device) -> torch.Tensor:
    """Return the number of a step for which Adam corrects nothing: `rate` holds the corrections already."""
    return torch.full((), 1e9, device=device)


def row_optimiser(name: str, table: torch.Tensor) -> RowOptimiser:
    """Make the optimiser called `adam` or `rmsprop` for a table."""
    return RowAdam(table, betas={"adam": (0.9, 0.999), "rmsprop": (0.0, 0.999)}[name])
