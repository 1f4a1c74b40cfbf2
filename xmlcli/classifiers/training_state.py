"""What phase 3 trains: the encoder, a linear classifier for each label, and the state of their optimisers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

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

        Rows of other ranks, `before` and `after` these, are drawn too, and forgotten.
        """
        generator = torch.Generator().manual_seed(seed)
        bound = 1 / math.sqrt(self.weight.shape[1])
        for table in (self.weight, self.bias):
            _draw_and_forget(before, table.shape[1], generator)
            table.uniform_(-bound, bound, generator=generator)
            _draw_and_forget(after, table.shape[1], generator)

    def start_at_frequencies(self, frequencies: npt.NDArray[np.float32], num_documents: int) -> None:
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
        found = {f"{name}.{key}": tensor for name, rows in self._optimisers() for key, tensor in rows.state().items()}
        return {name: tensor.detach().cpu() for name, tensor in found.items()}

    def load(self, tensors: Mapping[str, torch.Tensor], optimiser_tensors: Mapping[str, torch.Tensor] | None) -> None:
        """Take over what `tensors` and `optimiser_tensors` returned; without the latter the optimisers start anew."""
        prefix = "encoder."
        self.encoder.load_state_dict({n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)})
        self.classifiers.weight.copy_(tensors["classifiers.weight"])
        self.classifiers.bias.copy_(tensors["classifiers.bias"])
        if optimiser_tensors is None:
            return
        for name, rows in self._optimisers():
            for key, tensor in rows.state().items():
                tensor.copy_(optimiser_tensors[f"{name}.{key}"])

    def _optimisers(self) -> list[tuple[str, RowOptimiser | DenseAdam]]:
        found: list[tuple[str, RowOptimiser | DenseAdam]] = [
            ("tokens", self.tokens_optimiser),
            ("weight", self.weight_optimiser),
            ("bias", self.bias_optimiser),
        ]
        return found if self.residual_optimiser is None else [*found, ("residual", self.residual_optimiser)]


def weight_tensors(encoder: Encoder, classifiers: Classifiers) -> dict[str, torch.Tensor]:
    """Return the weights that prediction needs, on the CPU, by name."""
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {"classifiers.weight": classifiers.weight, "classifiers.bias": classifiers.bias}
    return {name: tensor.detach().cpu() for name, tensor in tensors.items()}


def empty_state(
    num_tokens: int, num_labels: int, config: ModelConfig, optimiser: str, *, device: str = "cpu"
) -> TrainingState:
    """Make a model of the right shapes, to be filled by `TrainingState.load`."""
    encoder, classifiers = Encoder(num_tokens, config, seed=None), Classifiers(num_labels, config.dim)
    return TrainingState(encoder, classifiers, optimiser, device=device)


def load_encoder(tensors: Mapping[str, torch.Tensor], config: ModelConfig, *, device: str = "cpu") -> Encoder:
    """Make the encoder of `TrainingState.tensors`, for encoding alone."""
    found = Encoder(tensors["encoder.tokens"].shape[0], config, seed=None)
    found.load_state_dict({n.removeprefix("encoder."): t for n, t in tensors.items() if n.startswith("encoder.")})
    return found.to(device)
