"""A model in the middle of its training, on a small collection."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from support.fake_stages import drawn_state
from support.planted_data import collection

from xmlcli.classifiers.training_state import TrainingState
from xmlcli.config.sections import ModelConfig

GELU = ModelConfig(dim=8, start="spectral", document_norm=0.5, activation="gelu", dropout=0.5, residual=True)
LABELS = 9
X, Y = collection(60, LABELS, 0)


def bent_model(config: ModelConfig) -> TrainingState:
    """A model whose residual block is neither at its start nor settled, and whose biases are not zero."""
    model = drawn_state(X.shape[1], LABELS, config, "adam")
    generator = torch.Generator().manual_seed(0)
    model.encoder.tokens.data = 2 * torch.randn(X.shape[1], config.dim, generator=generator)
    if model.encoder.residual is not None:
        model.encoder.residual.weight.data += 0.3 * torch.randn(config.dim, config.dim, generator=generator)
        model.encoder.residual.bias.data += 0.3 * torch.randn(config.dim, generator=generator)
    return model


def arrays(model: TrainingState) -> dict[str, npt.NDArray[np.float32]]:
    return {name: tensor.numpy() for name, tensor in model.tensors().items()}
