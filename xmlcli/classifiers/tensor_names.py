"""Names of the tensors of phase 3, in `model.safetensors` and `optimiser.safetensors`. Needs no torch.

`TrainingState` writes them. Prediction reads them as NumPy arrays.
"""

from __future__ import annotations

ENCODER = "encoder."
"""The prefix of the encoder's own names."""
WEIGHT, BIAS = "classifiers.weight", "classifiers.bias"
TOKENS_STATE, WEIGHT_STATE, BIAS_STATE, RESIDUAL_STATE = "tokens", "weight", "bias", "residual"
"""Optimisers: the state of each is named `<optimiser>.<key>`."""
_STEPS = ".steps"  # a counter, which has no rows


def has_label_rows(name: str) -> bool:
    """Whether the tensor of that name has a row for each label."""
    if name in (WEIGHT, BIAS):
        return True
    return name.startswith((f"{WEIGHT_STATE}.", f"{BIAS_STATE}.")) and not name.endswith(_STEPS)
