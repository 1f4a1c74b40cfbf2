"""The tensors that have a row for each label are known by name, whichever optimiser trains."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fake_stages import drawn_state, make_config

from xmlcli.classifiers.tensor_names import has_label_rows

TOKENS, LABELS, DIM = 20, 15, 6


@pytest.mark.parametrize("optimiser", ["rmsprop", "adam"])
@pytest.mark.parametrize("residual", [True, False])
def test_exactly_the_tensors_of_one_row_a_label_have_label_rows(optimiser: str, residual: bool) -> None:
    state = drawn_state(TOKENS, LABELS, replace(make_config().model, dim=DIM, residual=residual), optimiser)
    shapes = {name: tuple(tensor.shape) for name, tensor in (state.tensors() | state.optimiser_tensors()).items()}
    assert {shape[0] for shape in shapes.values() if shape} <= {TOKENS, LABELS, DIM, 1}
    with_rows = {name for name, shape in shapes.items() if shape[:1] == (LABELS,)}
    assert {"classifiers.weight", "classifiers.bias"} < with_rows
    assert {name for name in shapes if has_label_rows(name)} == with_rows
