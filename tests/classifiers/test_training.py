"""What training finds, and that a run which goes on from a checkpoint ends with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.fake_stages import drawn_state
from support.planted_data import collection, sparse_rows
from support.training_batches import AUTHORS, BATCH, DOCUMENT, batch, shortlists

from xmlcli.classifiers import training
from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.training import train
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.config.sections import ClfConfig, ModelConfig
from xmlcli.encoder.encoder import encode

ENCODER = ModelConfig(dim=6, start="spectral", document_norm=0.5, activation="gelu", dropout=0.0, residual=True)


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


def test_token_vectors_have_a_rate_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[dict[str, Any]] = []
    monkeypatch.setattr(training, "train_step", lambda *_, **given: rates.append(given))
    model, data, schedule = planted(replace(BATCH, epochs=3, token_rate_documents=600))
    train(model, data, schedule, cycle=1, seed=0)
    assert len(rates) == schedule.steps
    for step, given in enumerate(rates):
        rate = schedule.learning_rate(1, step)
        assert [given[name] / rate for name in ("learning_rate", "token_rate")] == pytest.approx([1, 2])


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
