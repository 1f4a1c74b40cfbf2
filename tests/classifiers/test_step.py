"""A step's random numbers, and its gradients against autograd's."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.fake_stages import drawn_state
from support.planted_data import collection, sparse_rows
from support.training_batches import BATCH, DOCUMENT, batch, cells, shortlists

from xmlcli.classifiers import label_gradients, step
from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.step import Step, draw_step, train_step
from xmlcli.classifiers.targets import draw_targets
from xmlcli.config.sections import ClfConfig, ModelConfig
from xmlcli.encoder.encoder import TokenUse
from xmlcli.kernels.csr import CsrRows

ENCODER = ModelConfig(dim=6, start="spectral", document_norm=0.5, activation="gelu", dropout=0.0, residual=True)


@pytest.mark.parametrize("other", [{"cycle": 2}, {"seed": 8}, {"number": 1}, {"number": 4}], ids=str)
@pytest.mark.parametrize("ordered", [True, False])
def test_a_steps_random_numbers_follow_from_seed_cycle_and_number(
    other: dict[str, int], ordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the order of documents and, where that is the same, what is drawn besides."""
    if not ordered:
        monkeypatch.setattr(step, "_order", lambda num, *_: np.arange(num) % 10)
    X, Y = sparse_rows(40, 20, 4, np.random.default_rng(1)), collection(40, 15, 0)[1]
    data = TrainingData.of(X, Y, shortlists(40, 15, 6, 1))
    encoder = drawn_state(20, 15, replace(ENCODER, dropout=0.5), "adam").encoder
    schedule = replace(Schedule.of(40, 1, replace(BATCH, random_negatives=0)), batch_size=10, steps_an_epoch=4)

    def drawn(number: int = 0, cycle: int = 1, seed: int = 7) -> tuple[bytes, bytes]:
        found = draw_step(data, schedule, number, encoder, cycle=cycle, seed=seed)
        return found.X.indices.tobytes(), np.stack(found.kept).tobytes()

    assert drawn() == drawn()
    rows, kept = (one == another for one, another in zip(drawn(), drawn(**other), strict=True))
    assert (rows, kept) == (not ordered, False)


class Recorder:
    """Stands for a row optimiser: keeps the gradient, moves nothing."""

    def __init__(self, table: torch.Tensor) -> None:
        self.grad = torch.zeros_like(table)
        self.rate = 0.0

    def begin(self, learning_rate: float) -> None:
        assert self.rate == 0.0, "a step begins once"
        self.rate = learning_rate

    def move(self, rows: torch.Tensor, grad: torch.Tensor) -> None:
        assert len(rows.unique()) == len(rows)
        assert not self.grad[rows].any(), "a row is moved once"
        self.grad[rows] = grad

    def state(self) -> dict[str, torch.Tensor]:
        return {}


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("config", [BATCH, DOCUMENT], ids=["batch", "document"])
def test_a_step_follows_the_gradient_of_the_whole_logistic_loss(
    config: ClfConfig, residual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_gradients, "matrix_dtype", lambda device: torch.float32)
    monkeypatch.setattr(label_gradients, "_SLICE", 5)
    monkeypatch.setattr(label_gradients, "_LABELS", 1)
    Y, shortlist = batch(0)
    X = sparse_rows(12, 20, 4, np.random.default_rng(1))
    model = drawn_state(20, 15, replace(ENCODER, residual=residual), "adam")
    model.classifiers.start_random(2)
    if model.encoder.residual is not None:
        model.encoder.residual.weight.data += 0.3 * torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    reference = copy.deepcopy(model.encoder)
    if reference.residual is not None:
        reference.residual.power_step()
    W, b = (t.clone().requires_grad_() for t in (model.classifiers.weight, model.classifiers.bias))
    tokens = reference.tokens.detach().clone().requires_grad_()
    logits = reference.head(torch.from_numpy(X.toarray()) @ tokens) @ W.T + b.T
    truth = torch.from_numpy(Y.toarray())
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    counts = cells(Y, shortlist, config)
    (each * torch.from_numpy(counts)).sum().backward()

    optimisers = [Recorder(model.encoder.tokens), Recorder(W.detach()), Recorder(b.detach())]
    model.tokens_optimiser, model.weight_optimiser, model.bias_optimiser = optimisers
    targets = draw_targets(Y, shortlist, np.arange(13), config, np.random.default_rng(0))
    given = Step(X, TokenUse.of(CsrRows.of(X)), targets, kept=[])
    with ThreadPoolExecutor(2) as pool:
        train_step(model, given, learning_rate=0.5, token_rate=0.7, pool=pool)
    assert [optimiser.rate for optimiser in optimisers] == [0.7, 0.5, 0.5]
    for found, wanted in zip(optimisers, (tokens, W, b), strict=True):
        assert wanted.grad is not None
        assert torch.allclose(found.grad, wanted.grad, atol=1e-5)
    if residual:
        assert model.encoder.residual is not None
        assert reference.residual is not None
        assert torch.allclose(model.encoder.residual.weight.grad, reference.residual.weight.grad, atol=1e-5)
        assert torch.allclose(model.encoder.residual.bias.grad, reference.residual.bias.grad, atol=1e-5)
