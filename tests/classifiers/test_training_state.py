"""Starting, saving and loading what phase 3 trains."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fake_stages import drawn_state, make_config
from support.planted_data import collection

from xmlcli.classifiers import training_state
from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.training import train
from xmlcli.classifiers.training_state import Classifiers, TrainingState, empty_state, load_encoder
from xmlcli.config.sections import ModelConfig
from xmlcli.encoder.encoder import encode
from xmlcli.storage import files

OURS = ModelConfig(dim=8, start="spectral", document_norm=0.5, activation="gelu", dropout=0.5, residual=True)
X, Y = collection(60, 6, 0)
DATA = TrainingData.of(X, Y, np.tile(np.arange(6, dtype=np.int32), (60, 1)))


def train_some(model: TrainingState, optimiser: str, *, start: int, stop: int) -> None:
    config = replace(
        make_config().clf, epochs=3, min_documents=0, max_epochs=3, batch_size=32, min_batches=1, optimiser=optimiser,
        learning_rate=0.05, token_rate_documents=None, random_negatives=2,
    )  # fmt: skip
    schedule = Schedule.of(60, 1, config)

    class StopError(Exception):
        pass

    def after_step(done: int) -> None:
        if done == stop:
            raise StopError

    with pytest.raises(StopError):
        train(model, DATA, schedule, cycle=1, seed=3, start=start, after_step=after_step)


def predictions(model: TrainingState) -> torch.Tensor:
    return encode(model.encoder, X) @ model.classifiers.weight.T + model.classifiers.bias.T


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
@pytest.mark.parametrize("residual", [True, False])
def test_a_loaded_model_predicts_the_same_and_makes_the_same_next_steps(
    tmp_path: Path, optimiser: str, residual: bool
) -> None:
    config = replace(OURS, residual=residual)
    model = drawn_state(X.shape[1], 6, config, optimiser)
    model.classifiers.start_random(0)
    train_some(model, optimiser, start=0, stop=2)
    files.save_tensors(tmp_path / "model.safetensors", model.tensors())
    files.save_tensors(tmp_path / "optimiser.safetensors", model.optimiser_tensors())
    tensors = files.load_tensors(tmp_path / "model.safetensors")
    states = files.load_tensors(tmp_path / "optimiser.safetensors")

    loaded = empty_state(X.shape[1], 6, config, optimiser)
    loaded.load(tensors, states)
    encoder = load_encoder(tensors, config)
    assert torch.equal(predictions(loaded), predictions(model))
    assert torch.equal(encode(encoder, X), encode(model.encoder, X))

    forgetful = empty_state(X.shape[1], 6, config, optimiser)
    forgetful.load(tensors, None)
    for other in (model, loaded, forgetful):
        train_some(other, optimiser, start=2, stop=5)
    assert all(torch.equal(t, loaded.tensors()[name]) for name, t in model.tensors().items())
    assert all(torch.equal(t, loaded.optimiser_tensors()[name]) for name, t in model.optimiser_tensors().items())
    assert not torch.equal(predictions(forgetful), predictions(model))


def test_classifiers_at_the_frequencies_score_every_document_alike() -> None:
    classifiers = Classifiers(5, 8)
    classifiers.start_random(0)
    classifiers.start_at_frequencies(np.array([0, 3, 10, 90, 100], np.float32), num_documents=100)
    assert (classifiers.weight.shape, classifiers.weight.any().item()) == ((5, 8), False)
    wanted = [[math.log(0.005)], [math.log(0.035)], [math.log(0.105)], [-1.0], [-1.0]]
    assert np.allclose(classifiers.bias, wanted, atol=1e-6)


def test_starting_biases_have_all_digits() -> None:
    frequencies = np.arange(30_000, dtype=np.float32)
    classifiers = Classifiers(30_000, 2)
    classifiers.start_at_frequencies(frequencies, num_documents=90_000)
    exact = np.log(((frequencies + np.float32(0.5)) / np.float32(90_000)).astype(np.float64))
    found = classifiers.bias[:, 0].numpy()
    assert (np.abs(found - exact) <= np.spacing(np.abs(found)) / 2).all()


def test_random_classifiers_are_uniform_within_one_over_root_d() -> None:
    classifiers, again = Classifiers(500, 16), Classifiers(500, 16)
    classifiers.start_random(1)
    again.start_random(1)
    for tensor, twin in ((classifiers.weight, again.weight), (classifiers.bias, again.bias)):
        assert torch.equal(tensor, twin)
        assert 0.24 < tensor.abs().max() <= 0.25
        assert abs(tensor.mean()) < 0.02


@pytest.mark.parametrize("share", [slice(0, 4), slice(4, 7), slice(7, 10)], ids=str)
def test_the_random_rows_of_a_rank_are_those_of_the_whole(share: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_state, "_FORGOTTEN", 2)
    whole, own = Classifiers(10, 4), Classifiers(share.stop - share.start, 4)
    whole.start_random(3)
    own.start_random(3, before=share.start, after=10 - share.stop)
    assert torch.equal(own.weight, whole.weight[share])
    assert torch.equal(own.bias, whole.bias[share])
