"""A step's gradients against autograd's, what training finds, going on from a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.fake_stages import drawn_state
from support.planted_data import collection, sparse_rows
from support.training_batches import AUTHORS, BATCH, DOCUMENT, batch, cells, shortlists

from xmlcli.classifiers import training
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.targets import Targets, draw_targets
from xmlcli.classifiers.training import Step, TrainingData, train, train_step
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.config.sections import ClfConfig, ModelConfig
from xmlcli.encoder.encoder import TokenUse, encode
from xmlcli.kernels.csr import CsrRows

ENCODER = ModelConfig(dim=6, start="spectral", document_norm=0.5, activation="gelu", dropout=0.0, residual=True)


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
    monkeypatch.setattr(training, "matrix_dtype", lambda device: torch.float32)
    monkeypatch.setattr(training, "_SLICE", 5)
    monkeypatch.setattr(training, "_LABELS", 1)
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
    step = Step(X, TokenUse.of(CsrRows.of(X)), targets, kept=[])
    with ThreadPoolExecutor(2) as pool:
        train_step(model, step, learning_rate=0.5, token_rate=0.7, residual_rate=0.0, pool=pool)
    assert [optimiser.rate for optimiser in optimisers] == [0.7, 0.5, 0.5]
    for found, wanted in zip(optimisers, (tokens, W, b), strict=True):
        assert wanted.grad is not None
        assert torch.allclose(found.grad, wanted.grad, atol=1e-5)
    if residual:
        assert model.encoder.residual is not None
        assert reference.residual is not None
        assert torch.allclose(model.encoder.residual.weight.grad, reference.residual.weight.grad, atol=1e-5)
        assert torch.allclose(model.encoder.residual.bias.grad, reference.residual.bias.grad, atol=1e-5)


def test_gradients_in_half_precision_are_near_those_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    Y, shortlist = batch(0, L=40)
    targets = draw_targets(Y, shortlist, np.arange(38), BATCH, np.random.default_rng(0))
    model = drawn_state(20, 40, replace(ENCODER, dim=32), "adam")
    model.classifiers.start_random(1)
    documents = torch.nn.functional.normalize(torch.randn(12, 32, generator=torch.Generator().manual_seed(3)), dim=1)
    found: dict[torch.dtype, list[torch.Tensor]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(training, "matrix_dtype", lambda device, dtype=dtype: dtype)
        moved: list[torch.Tensor] = []
        with ThreadPoolExecutor(1) as pool:
            by_documents = training.label_gradients(
                documents, model.classifiers, targets, lambda labels, *grads, moved=moved: moved.extend(grads), pool
            )
        assert [grad.shape for grad in moved] == [(len(targets.labels), 32), (len(targets.labels), 1)]
        found[dtype] = [by_documents, *moved]
    for full, half in zip(found[torch.float32], found[torch.bfloat16], strict=True):
        assert half.dtype == torch.float32
        assert (full - half).abs().max() < 0.02 * full.abs().max()
        assert not torch.equal(full, half)


def test_a_rank_none_of_whose_labels_is_in_the_batch_adds_nothing() -> None:
    none = np.zeros(0, np.int64)
    model = drawn_state(20, 15, ENCODER, "adam")
    with ThreadPoolExecutor(1) as pool:
        found = training.label_gradients(
            torch.ones(4, 6), model.classifiers, Targets(none, none, none, None), lambda *_: pytest.fail("moved"), pool
        )
    assert found.tolist() == torch.zeros(4, 6).tolist()


def test_sizes_are_rounded_up_to_a_multiple() -> None:
    assert [training.multiple(n, 32) for n in (0, 1, 32, 33, 129)] == [32, 32, 32, 64, 160]


@pytest.mark.parametrize("threads", [1, 2, 5, 16])
def test_slices_cover_the_labels_in_whole_turns_of_the_threads(threads: int) -> None:
    for U in (1, 31, 32, 33, 900, 1024, 1025, 1800, 3000, 12_345):
        size = training.slice_size(U, threads)
        slices = -(-U // size)
        assert size % 64 == 32
        assert size <= 1024 + 64
        assert slices == 1 or size >= 512
        assert slices == 1 if U <= 1024 else slices <= threads * (U // (threads * 1024) + 1)


def planted(config: ClfConfig) -> tuple[TrainingState, TrainingData, Schedule]:
    X, Y = collection(150, 20, 0)
    model = drawn_state(X.shape[1], 20, replace(ENCODER, dim=16, dropout=0.3), config.optimiser)
    model.classifiers.start_random(0)
    return model, TrainingData.of(X, Y, shortlists(150, 20, 12, 1)), Schedule.of(150, 1, config)


def precision_at_1(model: TrainingState, data: TrainingData) -> float:
    scores = encode(model.encoder, data.X) @ model.classifiers.weight.T + model.classifiers.bias.T
    return float(data.Y.toarray()[np.arange(150), scores.argmax(dim=1).numpy()].mean())


@pytest.mark.parametrize(
    "config",
    [
        replace(BATCH, epochs=20, learning_rate=0.3, random_negatives=5),
        replace(DOCUMENT, epochs=20, learning_rate=0.05),
        replace(AUTHORS, epochs=20, learning_rate=0.05, max_positives=2),
    ],
    ids=["ours", "document", "authors"],
)
def test_training_finds_the_labels_of_planted_words(config: ClfConfig) -> None:
    model, data, schedule = planted(config)
    before = precision_at_1(model, data)
    train(model, data, schedule, cycle=1, seed=0)
    assert before < 0.3
    assert precision_at_1(model, data) > 0.9


def test_token_vectors_and_the_residual_block_have_rates_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[dict[str, Any]] = []
    monkeypatch.setattr(training, "train_step", lambda *_, **given: rates.append(given))
    model, data, schedule = planted(replace(BATCH, epochs=3, token_rate_documents=600))
    train(model, data, schedule, cycle=1, seed=0)
    assert len(rates) == schedule.steps
    for step, given in enumerate(rates):
        rate = schedule.learning_rate(1, step)
        assert [given[name] / rate for name in ("learning_rate", "token_rate", "residual_rate")] == pytest.approx(
            [1, 2, 0.1]
        )


def test_labels_without_documents_keep_their_classifiers() -> None:
    Y, shortlist = batch(0)
    X = sparse_rows(12, 20, 4, np.random.default_rng(1))
    model = drawn_state(20, 15, ENCODER, "adam")
    model.classifiers.start_random(2)
    before = model.classifiers.weight.clone()
    data = TrainingData.of(X, Y, shortlist)
    train(model, data, Schedule.of(12, 1, replace(BATCH, random_negatives=9)), cycle=1, seed=0)
    moved = (model.classifiers.weight != before).any(dim=1)
    assert not moved[13:].any()
    assert moved[data.Y.getnnz(axis=0) > 0].all()


@pytest.mark.parametrize("config", [replace(BATCH, random_negatives=5), replace(AUTHORS, max_positives=2)])
@pytest.mark.parametrize("at", [1, 5, 7])
def test_training_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(config: ClfConfig, at: int) -> None:
    saved: dict[str, dict[str, torch.Tensor]] = {}

    def save(model: TrainingState) -> Callable[[int], None]:
        def after_step(done: int) -> None:
            if done == at:
                saved["model"] = {n: t.clone() for n, t in model.tensors().items()}
                saved["optimiser"] = {n: t.clone() for n, t in model.optimiser_tensors().items()}

        return after_step

    whole, data, schedule = planted(config)
    assert schedule.steps_an_epoch == 5
    train(whole, data, schedule, cycle=2, seed=7, after_step=save(whole))
    resumed, _, _ = planted(config)
    resumed.load(saved["model"], saved["optimiser"])
    torch.manual_seed(12345)  # the state of torch's own generator must not matter
    train(resumed, data, schedule, cycle=2, seed=7, start=at)
    for name, tensor in (whole.tensors() | whole.optimiser_tensors()).items():
        assert torch.equal(tensor, (resumed.tensors() | resumed.optimiser_tensors())[name]), name


@pytest.mark.parametrize("other", [{"seed": 8, "cycle": 2}, {"seed": 7, "cycle": 1}])
def test_seed_and_cycle_decide_the_random_numbers(other: dict[str, int]) -> None:
    def weights(seed: int, cycle: int) -> torch.Tensor:
        model, data, schedule = planted(replace(BATCH, epochs=1, schedule="halving"))
        train(model, data, schedule, cycle=cycle, seed=seed)
        return model.classifiers.weight

    assert torch.equal(weights(7, 2), weights(7, 2))
    assert not torch.equal(weights(7, 2), weights(**other))


def test_a_cycle_ends_after_its_steps_and_says_so() -> None:
    model, data, schedule = planted(BATCH)
    told: list[tuple[int, int]] = []
    done: list[int] = []
    train(model, data, schedule, cycle=1, seed=0, start=3, after_step=done.append,
          progress=lambda label, i, n: told.append((i, n)))  # fmt: skip
    assert done == list(range(4, schedule.steps + 1))
    assert told == [(i, schedule.steps) for i in done]
