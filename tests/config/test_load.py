"""Pipeline files: what is refused, and that all faults are told at once."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml
from support.paths import PIPELINES

from xmlcli.config.load import load_config, read_chain
from xmlcli.config.overrides import flatten, parse_overrides
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
        "evaluate.ks: expected 1 to 100,000, found [1, 0]",
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


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's own folder of pipelines, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    return Path("pipelines")


def write_files(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def test_a_file_with_a_base_holds_only_what_differs(here: Path) -> None:
    write_files(here, mine="base: default\nseed: 9\nclf: {epochs: 7}\nevaluate:\n  ks: [1, 10]\n")
    mine, default = load_config(here / "mine.yaml"), load_config(DEFAULT)
    assert (mine.seed, mine.clf.epochs, mine.evaluate.ks) == (9, 7, (1, 10))
    clf, evaluate = replace(default.clf, epochs=7), replace(default.evaluate, ks=(1, 10))
    assert mine == replace(default, seed=9, clf=clf, evaluate=evaluate)


def test_a_base_has_a_base_itself_and_overrides_come_last(here: Path) -> None:
    write_files(here, a="base: b\nclf: {epochs: 7}", b="base: default\nclf: {epochs: 5, batch_size: 3}\nseed: 4")
    config = load_config(here / "a.yaml", {"seed": 2})
    assert (config.clf.epochs, config.clf.batch_size, config.seed) == (7, 3, 2)
    assert [file.path.stem for file in read_chain(here / "a.yaml")] == ["a", "b", "default"]


def test_a_base_of_the_current_folder_comes_before_the_programs_own(here: Path) -> None:
    write_files(here, mine="base: default", default=DEFAULT.read_text().replace("seed: 1", "seed: 77"))
    assert load_config(here / "mine.yaml").seed == 77


def test_a_problem_names_the_file_in_which_the_key_stands(here: Path) -> None:
    text = DEFAULT.read_text().replace("  dropout: 0.4", "  dropout: 4").replace("\nseed: 1", "\nsed: 1")
    write_files(here, mine="base: theirs\nclf: {epochs: many}\nproxy: {epoch: 1}", theirs=text)
    with pytest.raises(ConfigError) as error:
        load_config(here / "mine.yaml", {"linear.C": "x"})
    lines = str(error.value).splitlines()
    assert lines[1] == "where: pipelines/mine.yaml with --set linear.C"
    assert lines[2].removeprefix("found: ").split("; ") == [
        "sed: no such key (did you mean seed?) (in pipelines/theirs.yaml)",
        "seed: missing",
        "model.dropout: expected 0.0 to 1.0, found 4 (in pipelines/theirs.yaml)",
        "proxy.epoch: no such key (did you mean epochs?)",
        "clf.epochs: expected a whole number, found 'many'",
        "linear.C: expected a number, found 'x'",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: nonsense", r"no pipeline called 'nonsense'(.|\n)*base of pipelines/mine\.yaml"),
        ("base: 3", r"pipelines/mine\.yaml(.|\n)*base: expected the name of a pipeline, found 3"),
        ("base: mine", r"in a loop(.|\n)*mine → mine"),
        ("base: other", r"in a loop(.|\n)*mine → other → mine"),
        ("base: list", r"pipelines/list\.yaml(.|\n)*the file: expected a mapping"),
        ("base: default\nclf:", r"clf: expected a mapping, found null"),
    ],
)
def test_a_base_that_cannot_be_used_is_told(here: Path, text: str, said: str) -> None:
    write_files(here, mine=text, other="base: mine", list="- 1")
    with pytest.raises(ConfigError, match=said):
        load_config(here / "mine.yaml")


def test_a_setting_that_is_gone_is_told_with_what_is_used_instead(here: Path) -> None:
    write_files(here, mine="base: default\nprepare: {ngram_max: 1, max_features: null}")
    with pytest.raises(ConfigError) as error:
        load_config(here / "mine.yaml", {"clf.residual_rate": 1.0})
    for part in ("prepare.ngram_max", "1"), ("prepare.max_features", "null"), ("clf.residual_rate", "1.0"):
        key, value = part
        assert f"{key}: no such key: no longer a setting, the program always uses {value}" in str(error.value)


def test_the_files_that_differ_in_little_hold_little() -> None:
    for path in PIPELINES.glob("*.yaml"):
        bases = [file.path.stem for file in read_chain(path)[1:]]
        expected = ["default"] if path.stem == "fast" else ["authors"] if path.stem.startswith("authors-") else []
        assert bases == expected
        if bases:
            own, base = read_chain(path)[0].content, load_config(PIPELINES / f"{bases[0]}.yaml")
            flat, before = flatten(own), flatten(base.parameters([f.name for f in fields(base)]))
            assert all(before[key] != value for key, value in flat.items()), path
