"""A training that diverges is noticed at the end of an epoch, and before a checkpoint of it is saved."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from support.fake_stages import drawn_state
from support.planted_data import collection
from support.training_batches import AUTHORS, BATCH, shortlists

from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.divergence import DivergenceCheck
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.training import train
from xmlcli.classifiers.training_state import TrainingState
from xmlcli.config.sections import ClfConfig, ModelConfig
from xmlcli.encoder.encoder import encode
from xmlcli.errors import TrainingError
from xmlcli.stages.checkpoint import Checkpoint

ENCODER = ModelConfig(dim=16, start="spectral", document_norm=0.5, activation="gelu", dropout=0.3, residual=True)


def planted(config: ClfConfig) -> tuple[TrainingState, TrainingData, Schedule]:
    X, Y = collection(150, 20, 0)
    model = drawn_state(X.shape[1], 20, ENCODER, config.optimiser)
    model.classifiers.start_random(0)
    return model, TrainingData.of(X, Y, shortlists(150, 20, 12, 1)), Schedule.of(150, 1, config)


def test_the_loss_is_the_logistic_loss_of_all_labels_of_all_documents() -> None:
    model, data, schedule = planted(replace(BATCH, random_negatives=400))
    few = replace(data, X=data.X[:50], Y=data.Y[:50], shortlist=data.shortlist[:50], num_documents=50)
    logits = encode(model.encoder, few.X) @ model.classifiers.weight.T + model.classifiers.bias.T
    signs = torch.from_numpy(1 - 2 * few.Y.toarray())
    expected = float(torch.log1p(torch.exp(signs * logits)).sum()) / 50
    check = DivergenceCheck(model, few, schedule, cycle=1, seed=0)
    assert check.loss() == pytest.approx(expected, rel=1e-5)


def test_only_the_cells_of_a_mask_count() -> None:
    model, data, schedule = planted(replace(AUTHORS, random_negatives=0))
    model.classifiers.weight.zero_()
    model.classifiers.bias.zero_()
    check = DivergenceCheck(model, data, schedule, cycle=1, seed=0)
    cells = check.loss() / math.log(2)
    assert cells == pytest.approx(data.shortlist.shape[1], abs=1.5), "each cell's loss is ln 2, a shortlist has k cells"


@pytest.mark.parametrize("config", [BATCH, AUTHORS], ids=["ours", "authors"])
def test_a_training_that_converges_is_not_called_divergent(config: ClfConfig, caplog: pytest.LogCaptureFixture) -> None:
    model, data, schedule = planted(replace(config, epochs=6, learning_rate=0.1))
    check = DivergenceCheck(model, data, schedule, cycle=1, seed=0)
    with caplog.at_level(logging.WARNING, "xmlcli"):
        train(model, data, schedule, cycle=1, seed=0, after_step=check.after_step)
    assert not caplog.records


def test_a_later_cycle_that_rises_a_little_is_not_called_divergent(caplog: pytest.LogCaptureFixture) -> None:
    model, data, schedule = planted(replace(BATCH, epochs=6, learning_rate=0.1))
    train(model, data, schedule, cycle=1, seed=0)
    check = DivergenceCheck(model, data, schedule, cycle=2, seed=0)
    trained = check.loss()
    with caplog.at_level(logging.WARNING, "xmlcli"):
        model.classifiers.bias += 0.5
        check.after_step(schedule.steps_an_epoch)
        assert check.loss() > trained
        assert not caplog.records
        model.classifiers.bias += 20
        check.after_step(2 * schedule.steps_an_epoch)
    assert len(caplog.records) == 1


def test_a_loss_above_the_start_is_told_once_a_cycle(caplog: pytest.LogCaptureFixture) -> None:
    model, data, schedule = planted(replace(BATCH, epochs=3, learning_rate=300.0))
    check = DivergenceCheck(model, data, schedule, cycle=2, seed=0)
    with caplog.at_level(logging.WARNING, "xmlcli"):
        train(model, data, schedule, cycle=2, seed=0, after_step=check.after_step)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"cycle 2, epoch 1, step {schedule.steps_an_epoch}" in line
    assert "largest weight" in line
    assert "--set clf.learning_rate=30" in line


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    model, data, schedule = planted(replace(BATCH, epochs=3))
    check = DivergenceCheck(model, data, schedule, cycle=1, seed=0)
    checkpoint = Checkpoint(tmp_path / "model.safetensors", model, seconds=0)
    checkpoint.tick(2, check.require_finite)
    model.classifiers.weight[3] = np.nan
    for look in (lambda: checkpoint.tick(3, check.require_finite), lambda: check.after_step(schedule.steps_an_epoch)):
        with pytest.raises(TrainingError, match="cycle 1, epoch 1, step") as stopped:
            look()
        assert "a loss of nan" in str(stopped.value)
        assert "the largest weight is nan" in str(stopped.value)
    again, _, _ = planted(BATCH)
    assert Checkpoint(tmp_path / "model.safetensors", again, seconds=1).restore() == 2


def test_documents_that_cannot_be_trained_on_have_no_loss() -> None:
    model, data, schedule = planted(BATCH)
    none = replace(data, X=data.X[:0], Y=data.Y[:0], shortlist=data.shortlist[:0], num_documents=0)
    assert isinstance(none.X, sp.csr_matrix)
    assert DivergenceCheck(model, none, schedule, cycle=1, seed=0).loss() == 0
