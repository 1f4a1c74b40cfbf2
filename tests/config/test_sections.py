"""Pipeline files: what is refused, and that all faults are told at once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
import yaml
from support.paths import PIPELINES

from xmlcli.config.load import load_config
from xmlcli.config.overrides import parse_overrides, unused_overrides
from xmlcli.errors import ConfigError

DEFAULT = PIPELINES / "default.yaml"


def write(tmp_path: Path, **changes: object) -> Path:
    raw = yaml.safe_load(DEFAULT.read_text())
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            raw[section][name] = value
        else:
            raw[section] = value
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_pipeline_in_the_repository_can_be_used(path: Path) -> None:
    config = load_config(path)
    assert all(getattr(config, f.name) is not None for f in fields(config))


def test_all_problems_are_told_at_once_with_file_and_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        clf__epoch=3,
        clf__epochs="many",
        model__dropout=1.5,
        shortlist__backend="faiss",
        evaluate__ks=[1, 0],
        proxy__priors=[],
        seed=True,
        proxies={},
    )
    with pytest.raises(ConfigError) as error:
        load_config(path)
    text = str(error.value)
    assert str(path) in text
    for part in (
        "proxies: no such key (did you mean proxy?)",
        "clf.epoch: no such key (did you mean epochs?)",
        "clf.epochs: expected a whole number, found 'many'",
        "model.dropout: expected 0.0 to 1.0, found 1.5",
        "shortlist.backend: expected one of words, exact, nmslib, found 'faiss'",
        "evaluate.ks: expected at least 1, found [1, 0]",
        "proxy.priors: expected a list of at least one, found []",
        "seed: expected a whole number, found true",
    ):
        assert part in text


def test_a_missing_key_is_a_problem(tmp_path: Path) -> None:
    raw = yaml.safe_load(DEFAULT.read_text())
    del raw["clf"]["epochs"], raw["proxy"]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=r"proxy: missing; clf\.epochs: missing"):
        load_config(path)


@pytest.mark.parametrize(("content", "words"), [("clf: [", "not YAML"), ("- 1", "expected a mapping")])
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_config(path)


def test_an_absent_pipeline_names_those_that_are_there() -> None:
    names = ", ".join(sorted(path.stem for path in PIPELINES.glob("*.yaml")))
    assert names.startswith("authors, ")
    assert names.endswith(", default, fast")
    with pytest.raises(ConfigError, match=names):
        load_config(PIPELINES / "nonsense.yaml")


def test_overrides_take_the_place_of_the_files_values() -> None:
    overrides = parse_overrides(["clf.epochs=7", "seed=3", "clf.learning_rate=1e-3", "evaluate.ks=[1, 10]"])
    config = load_config(DEFAULT, overrides)
    assert (config.clf.epochs, config.seed, config.clf.learning_rate) == (7, 3, 0.001)
    assert config.evaluate.ks == (1, 10)


@pytest.mark.parametrize("text", ["clf.epochs", "=3", "clf.epochs=[1"])
def test_an_override_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="overrides"):
        parse_overrides([text])


@pytest.mark.parametrize("key", ["clf.epoch", "classifier.epochs", "cycels", "seed.x"])
def test_an_override_of_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=r"no such key|no section"):
        load_config(DEFAULT, {key: 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x", True, None])
def test_a_number_must_be_finite_and_a_number(value: object) -> None:
    with pytest.raises(ConfigError, match=r"clf\.learning_rate: expected a number"):
        load_config(DEFAULT, {"clf.learning_rate": value})


@pytest.mark.parametrize("value", [[], [0], 5, [1.5], ["1"], None])
def test_cut_offs_have_to_be_a_list_of_whole_numbers_from_one(value: object) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.ks: expected"):
        load_config(DEFAULT, {"evaluate.ks": value})


def test_an_option_without_effect_is_told() -> None:
    overrides: dict[str, object] = {"shortlist.ef_search": 50, "shortlist.size": 10}
    assert unused_overrides(load_config(DEFAULT, overrides), overrides) == [
        "shortlist.ef_search has no effect: it counts only with backend='nmslib'"
    ]
    overrides["shortlist.backend"] = "nmslib"
    assert unused_overrides(load_config(DEFAULT, overrides), overrides) == []


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
