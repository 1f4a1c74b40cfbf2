"""The sections of the settings: as plain values, and never changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, is_dataclass
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
from support.paths import PIPELINES

from xmlcli.config.load import load_config
from xmlcli.config.schema import Range
from xmlcli.config.sections import Config
from xmlcli.errors import ConfigError

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


def numbers(section: type, prefix: str = "") -> list[tuple[str, type, Range]]:
    """Return key, type and range of every number that can be set."""
    found = []
    for name, hint in get_type_hints(section, include_extras=True).items():
        if is_dataclass(hint):
            found += numbers(hint, f"{prefix}{name}.")  # type: ignore[arg-type]
            continue
        inner = next((h for h in get_args(hint) if get_origin(h) is Annotated), hint)
        kind = inner if isinstance(inner, type) else get_args(inner)[0]
        if kind in (int, float):
            (rule,) = (rule for rule in get_args(inner)[1:] if isinstance(rule, Range))
            found.append((f"{prefix}{name}", kind, rule))
    return found


NUMBERS = numbers(Config)


def test_every_number_has_a_least_and_a_largest_value() -> None:
    assert len(NUMBERS) > 35
    for key, _, rule in NUMBERS:
        assert rule.low is not None, key
        assert rule.high is not None, key
        assert rule.high <= 2**31, key


@pytest.mark.parametrize("key", [key for key, _, _ in NUMBERS])
def test_numbers_beyond_the_largest_are_refused_before_anything_runs(key: str) -> None:
    for value in (10**20, -(10**20), 10**400, 1e300):
        listed = key in ("evaluate.ks", "proxy.priors", "proxy.base_rates")
        with pytest.raises(ConfigError, match=f"{key}: expected") as error:
            load_config(DEFAULT, {key: [value] if listed else value})
        assert len(str(error.value)) < 400


def test_the_least_and_the_largest_value_can_be_set() -> None:
    assert [bool(Range(2, 5).problem(value)) for value in (1, 2, 5, 6)] == [True, False, False, True]
    assert [bool(Range(low=2).problem(value)) for value in (1, 2)] == [True, False]
    assert len(load_config(DEFAULT, {"evaluate.ks": [1] * 100}).evaluate.ks) == 100
    assert load_config(DEFAULT, {"clf.max_epochs": 0, "model.dim": 2}).clf.max_epochs == 0


def test_texts_and_lists_are_not_of_any_length() -> None:
    for key, value in {"prepare.text_column": "x" * 1001, "evaluate.ks": [1] * 101, "clf.epochs": 10**5000}.items():
        with pytest.raises(ConfigError, match=f"{key}: expected") as error:
            load_config(DEFAULT, {key: value})
        assert len(str(error.value)) < 400
