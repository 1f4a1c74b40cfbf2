"""What phase 3 trains: the encoder, a linear classifier for each label, and the state of their optimisers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from xmlcli.arrays import Floats
from xmlcli.classifiers.tensor_names import (
    BIAS,
    BIAS_STATE,
    ENCODER,
    RESIDUAL_STATE,
    TOKENS_STATE,
    WEIGHT,
    WEIGHT_STATE,
)
from xmlcli.config.sections import ModelConfig
from xmlcli.encoder.encoder import Encoder
from xmlcli.encoder.optimisers import DenseAdam, RowOptimiser, row_optimiser

_FORGOTTEN = 1 << 14  # rows at a time


class Classifiers:
    """One weight vector and one bias for each label; a label's logit is `w_l · f(x) + b_l`.

    Attributes:
        weight: float32 (L, D).
        bias: float32 (L, 1).
    """

    def __init__(self, num_labels: int, dim: int) -> None:
        self.weight = torch.zeros(num_labels, dim)
        self.bias = torch.zeros(num_labels, 1)

    def start_random(self, seed: int, *, before: int = 0, after: int = 0) -> None:
        """Draw weights and biases from U(-1/sqrt(D), 1/sqrt(D)), torch's start of a linear layer, as the authors do.

        The rows of other ranks, `before` and `after` these, are drawn too and thrown away.
        """
        generator = torch.Generator().manual_seed(seed)
        bound = 1 / math.sqrt(self.weight.shape[1])
        for table in (self.weight, self.bias):
            _draw_and_forget(before, table.shape[1], generator)
            table.uniform_(-bound, bound, generator=generator)
            _draw_and_forget(after, table.shape[1], generator)

    def start_at_frequencies(self, frequencies: Floats, num_documents: int) -> None:
        """Start at the log-odds of each label, frequencies float32 (L,) of `num_documents`.

        With a bias of the order of 0 the thousands of negatives would drown the few positives in the first steps. The
        logarithm is NumPy's: torch's on two threads gives one of them fewer digits, in one process out of thirty.
        """
        share = (frequencies + np.float32(0.5)) / np.float32(num_documents)
        log_odds = np.minimum(np.log(share, dtype=np.float64), -1.0).astype(np.float32)
        self.weight = torch.zeros_like(self.weight)
        self.bias = torch.from_numpy(log_odds)[:, None]


def _draw_and_forget(rows: int, width: int, generator: torch.Generator) -> None:
    for at in range(0, rows, _FORGOTTEN):
        torch.empty(min(_FORGOTTEN, rows - at), width).uniform_(generator=generator)


class TrainingState:
    """Encoder, classifiers and optimisers, moved and saved together."""

    def __init__(self, encoder: Encoder, classifiers: Classifiers, optimiser: str, *, device: str = "cpu") -> None:
        self.encoder = encoder.to(device)
        self.classifiers = classifiers
        classifiers.weight = classifiers.weight.to(device)
        classifiers.bias = classifiers.bias.to(device)
        self.tokens_optimiser = row_optimiser(optimiser, encoder.tokens.data)
        self.weight_optimiser = row_optimiser(optimiser, classifiers.weight)
        self.bias_optimiser = row_optimiser(optimiser, classifiers.bias)
        self.residual_optimiser = None if encoder.residual is None else DenseAdam(encoder.residual.parameters())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the weights that prediction needs, on the CPU."""
        return weight_tensors(self.encoder, self.classifiers)

    def optimiser_tensors(self) -> dict[str, torch.Tensor]:
        """Return the optimisers' state, on the CPU."""
        return {
            f"{name}.{key}": tensor.detach().cpu()
            for name, optimiser in self._optimisers()
            for key, tensor in optimiser.state().items()
        }

    def load(self, tensors: Mapping[str, torch.Tensor], optimiser_tensors: Mapping[str, torch.Tensor] | None) -> None:
        """Load what `tensors` and `optimiser_tensors` returned; without the latter the optimisers start anew."""
        self.encoder.load_state_dict(_of_encoder(tensors))
        self.classifiers.weight.copy_(tensors[WEIGHT])
        self.classifiers.bias.copy_(tensors[BIAS])
        if optimiser_tensors is None:
            return
        for name, optimiser in self._optimisers():
            for key, tensor in optimiser.state().items():
                tensor.copy_(optimiser_tensors[f"{name}.{key}"])

    def _optimisers(self) -> list[tuple[str, RowOptimiser | DenseAdam]]:
        optimisers: list[tuple[str, RowOptimiser | DenseAdam]] = [
            (TOKENS_STATE, self.tokens_optimiser),
            (WEIGHT_STATE, self.weight_optimiser),
            (BIAS_STATE, self.bias_optimiser),
        ]
        if self.residual_optimiser is not None:
            optimisers.append((RESIDUAL_STATE, self.residual_optimiser))
        return optimisers


def weight_tensors(encoder: Encoder, classifiers: Classifiers) -> dict[str, torch.Tensor]:
    """Return the weights that prediction needs, on the CPU, by name."""
    tensors = {f"{ENCODER}{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {WEIGHT: classifiers.weight, BIAS: classifiers.bias}
    return {name: tensor.detach().cpu() for name, tensor in tensors.items()}


def empty_state(
    num_tokens: int, num_labels: int, config: ModelConfig, optimiser: str, *, device: str = "cpu"
) -> TrainingState:
    """Return a state of the right shapes, whose values `TrainingState.load` sets."""
    encoder, classifiers = Encoder(num_tokens, config, seed=None), Classifiers(num_labels, config.dim)
    return TrainingState(encoder, classifiers, optimiser, device=device)


def load_encoder(tensors: Mapping[str, torch.Tensor], config: ModelConfig, *, device: str = "cpu") -> Encoder:
    """Return the encoder alone, from the tensors of `TrainingState.tensors`."""
    weights = _of_encoder(tensors)
    encoder = Encoder(weights["tokens"].shape[0], config, seed=None)
    encoder.load_state_dict(weights)
    return encoder.to(device)


def _of_encoder(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the encoder's tensors by its own names for them."""
    return {name.removeprefix(ENCODER): tensor for name, tensor in tensors.items() if name.startswith(ENCODER)}
