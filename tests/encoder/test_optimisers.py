"""Row optimisers against torch's own and against the formula written out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from xmlcli.encoder.optimisers import DenseAdam, RowAdam, row_optimiser


def updates(steps: int, rows: int, dim: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        chosen = torch.randperm(rows, generator=generator)[: 1 + step % rows].sort().values
        grad = torch.randn(len(chosen), dim, generator=generator) * 10.0 ** (step % 5 - 3)
        yield chosen, grad, 0.1 / (1 + step)


@pytest.mark.parametrize("on_card", [False, True])
@pytest.mark.parametrize("beta", [0.9, 0.0], ids=["adam", "rmsprop"])
def test_row_adam_is_torchs_sparse_adam(beta: float, on_card: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if on_card:  # what a GPU does, on the CPU
        monkeypatch.setattr(RowAdam, "_move_on_cpu", RowAdam._move_on_card)
    table = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    theirs = torch.nn.Parameter(table.clone())
    reference = torch.optim.SparseAdam([theirs], lr=1.0, betas=(beta, 0.999))
    ours = RowAdam(table, betas=(beta, 0.999))
    for rows, grad, rate in updates(25, 7, 3):
        reference.param_groups[0]["lr"] = rate
        theirs.grad = torch.sparse_coo_tensor(rows[None], grad, table.shape, check_invariants=True)
        reference.step()
        ours.begin(rate)
        ours.move(rows, grad)
    atol = 1e-7 if beta else 3e-6  # without momentum every step is as long as the rate, and so are its roundings
    assert torch.allclose(table, theirs.detach(), rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_rows_outside_the_batch_stay_as_they_are(name: str) -> None:
    table = torch.randn(6, 4)
    before = table.clone()
    optimiser = row_optimiser(name, table)
    optimiser.begin(0.1)
    optimiser.move(torch.tensor([4, 1]), torch.ones(2, 4))
    assert [row for row in range(6) if not torch.equal(table[row], before[row])] == [1, 4]


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_state_is_the_tensors_in_use(name: str) -> None:
    first, second = torch.ones(5, 2), torch.ones(5, 2)
    one, other = row_optimiser(name, first), row_optimiser(name, second)
    one.begin(0.1)
    one.move(torch.tensor([0, 3]), torch.full((2, 2), 0.5))
    second.copy_(first)
    for key, tensor in other.state().items():
        tensor.copy_(one.state()[key])
    for optimiser in (one, other):
        optimiser.begin(0.1)
        optimiser.move(torch.tensor([3, 4]), torch.full((2, 2), -0.25))
    assert torch.equal(first, second)


def test_rmsprop_is_adam_without_momentum_and_keeps_no_table_for_it() -> None:
    tables = [torch.ones(5, 2), torch.ones(5, 2)]
    rmsprop, adam = row_optimiser("rmsprop", tables[0]), RowAdam(tables[1], betas=(0.0, 0.999))
    for optimiser in (rmsprop, adam):
        optimiser.begin(0.1)
        optimiser.move(torch.tensor([0, 3]), torch.full((2, 2), 0.5))
    assert torch.equal(*tables)
    assert set(rmsprop.state()) == {"second", "steps"}
    assert set(row_optimiser("adam", tables[0]).state()) == {"first", "second", "steps"}


def test_dense_adam_is_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (5,))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    reference, adam = torch.optim.Adam(theirs, lr=0.01, eps=1e-12), DenseAdam(ours)
    for table in adam._tables:
        table.eps = 1e-12  # torch adds its epsilon at another place
    for step in range(5):
        for mine, its in zip(ours, theirs, strict=True):
            grad = torch.randn(mine.shape, generator=generator)
            mine.grad, its.grad = grad.clone(), grad
        reference.param_groups[0]["lr"] = 0.01 * (step + 1)
        reference.step()
        adam.step(0.01 * (step + 1))
        adam.zero_grad()
        assert all(p.grad is None for p in ours)
    for mine, its in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, its, atol=1e-6)
