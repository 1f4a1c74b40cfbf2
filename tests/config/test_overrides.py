"""Values instead of a pipeline file's: how they are written, and which have no effect."""

from __future__ import annotations

import pytest
from support.paths import PIPELINES

from xmlcli.config.load import load_config
from xmlcli.config.overrides import flatten, parse_overrides, unused_overrides
from xmlcli.errors import ConfigError

DEFAULT = PIPELINES / "default.yaml"


@pytest.mark.parametrize("text", ["clf.epochs", "=3", " =3", "clf.epochs=[1"])
def test_an_override_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="overrides"):
        parse_overrides([text])


def test_a_value_may_hold_what_parts_it_from_the_key() -> None:
    assert parse_overrides(["prepare.label_separator==", " a.b =c=d"]) == {"prepare.label_separator": "=", "a.b": "c=d"}


def test_an_option_without_effect_is_told() -> None:
    overrides: dict[str, object] = {"shortlist.ef_search": 50, "shortlist.size": 10}
    assert unused_overrides(load_config(DEFAULT, overrides), overrides) == [
        "shortlist.ef_search has no effect: it counts only with backend='nmslib'"
    ]
    overrides["shortlist.backend"] = "nmslib"
    assert unused_overrides(load_config(DEFAULT, overrides), overrides) == []


def test_nested_values_become_dotted_keys() -> None:
    assert flatten({"seed": 1, "clf": {"epochs": 2, "none": {}}, "ks": [1]}) == {"seed": 1, "clf.epochs": 2, "ks": [1]}
    assert flatten(None) == {"": None}
