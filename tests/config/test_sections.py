"""The sections of the settings: as plain values, and never changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from support.paths import PIPELINES

from xmlcli.config.load import load_config

DEFAULT = PIPELINES / "default.yaml"


def test_parameters_are_plain_values_of_sections_and_keys() -> None:
    config = load_config(DEFAULT)
    parameters = config.parameters(("seed", "evaluate"))
    assert parameters["seed"] == config.seed
    assert parameters["evaluate"]["ks"] == [1, 3, 5]


def test_no_part_of_a_configuration_can_be_changed() -> None:
    config = load_config(DEFAULT)
    with pytest.raises(FrozenInstanceError):
        config.seed = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        config.clf.epochs = 2  # type: ignore[misc]
