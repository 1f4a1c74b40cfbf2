"""YAML read strictly: the values that PyYAML reads, or what is wrong with key and line, whatever a text holds."""

from __future__ import annotations

import random
import string
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import PIPELINES, PROJECT

from xmlcli.config.load import load_config
from xmlcli.config.overrides import parse_overrides
from xmlcli.config.yaml_reader import MOST_BYTES, MOST_DEPTH, MOST_NODES, Content, content_of, read_file, read_text
from xmlcli.errors import ConfigError
from xmlcli.runs import dvc_table

DEFAULT = PIPELINES / "default.yaml"

FAULTS = [
    ("a: 1\nb: {c: 2}\na: 3", "a: found the key again, first in line 1 (line 3), keep one"),
    ("b:\n  c: 2\n  d: 3\n  c: 2", "b.c: found the key again, first in line 2 (line 4), keep one"),
    ("a: &x [1]\nb: *x", "found an alias (line 2), write the value itself"),
    ("b: {<<: {c: 1}}", "b: found a key that is no text (line 1), put it in quotes"),
    ("1: a", "found a key that is no text (line 1), put it in quotes"),
    ("a: {on: 1}", "a: found a key that is no text (line 1), put it in quotes"),
    ("[a]: b", "found a key that is no text (line 1), put it in quotes"),
    ("? {a: b}\n: c", "found a key that is no text (line 1), put it in quotes"),
    ("a: !!int abc", "a: found 'abc', which is no int (line 1)"),
    ("a: !!bool abc", "a: found 'abc', which is no bool (line 1)"),
    ("a: !!float abc", "a: found 'abc', which is no float (line 1)"),
    ("a: !!int ''", "a: found '', which is no int (line 1)"),
    ("a: 0x", None),
    (f"a: {'9' * 40}", None),
    (f"a: {'9' * 5000}", f"a: found a number of more than 40 digits, '{'9' * 40}' (line 1)"),
    (f"a: 0x{'f' * 5000}", f"a: found a number of more than 40 digits, '0x{'f' * 38}' (line 1)"),
    (f"a: {'9' * 5000}.0", f"a: found a number of more than 40 digits, '{'9' * 40}' (line 1)"),
    (f"a: 1{':1' * 500}", f"a: found a number of more than 40 digits, '1{':1' * 19}:' (line 1)"),
    ("a: !!python/object/apply:os.system [ls]", "a: found the tag '!!python/object/apply:os.system' (line 1)"),
    ("a: !!set {b: null}", "a: found the tag '!!set' (line 1)"),
    ("a: !mine b", "a: found the tag '!mine' (line 1)"),
    ("a: !!binary aGk=", "a: found the tag '!!binary' (line 1)"),
    ('a: "\\ud800"', "a: found half a character (a lone surrogate) (line 1)"),
    ('"\\ud800": a', "found half a character (a lone surrogate) (line 1)"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=[text[:24] for text, _ in FAULTS])
def test_what_cannot_be_meant_is_told_with_key_and_line(text: str, fault: str | None) -> None:
    faults = read_text(text).faults
    assert [told.startswith(fault) for told in faults] == [True] if fault else not faults


SYNTAX = [
    "a: [",
    "a:\n\tb: 1",
    "a: \0",
    "%YAML " + "9" * 5000 + ".1\n---\na: 1",
    'a: "\\UFFFFFFFF"',
    "a: *x\n---\nb: 1",
    "[" * 100_000,
    "- " * 100_000,
    "? " * 100_000,
    "{a: " * 50 + "1" + "}" * 50,
    "[" + "1," * (MOST_NODES + 1) + "]",
    "x" * (MOST_BYTES + 1),
]


@pytest.mark.parametrize("text", SYNTAX, ids=[repr(text[:12]) for text in SYNTAX])
def test_what_is_no_yaml_or_too_much_of_it_is_an_error_soon(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=r"\S"):
        read_text(text)
    assert time.process_time() - started < 30  # never minutes


def test_a_bomb_of_aliases_is_never_expanded() -> None:
    lines = ["a: &a [x, x]", *(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi"))]  # noqa: B905
    value, faults = read_text("\n".join(lines))
    assert len(faults) == 8 * 9
    assert value["i"] == [None] * 9


def test_a_date_is_text() -> None:
    assert read_text("[0000-00-00, 2024-01-31, 2024-01-31 10:00:00]").value == [
        "0000-00-00",
        "2024-01-31",
        "2024-01-31 10:00:00",
    ]


def random_value(source: random.Random, depth: int) -> Any:
    texts = ["a", "", "yes", "1", "1e3", "null", "é\U0001f600", "two\nlines", "0000-00-00", "a: b", "'", "#", " x "]
    match source.randrange(4 if depth else 3):
        case 0:
            return source.choice(texts)
        case 1:
            return source.choice([0, -7, 10**30, 1.5, 1e-8, 1e300, float("inf"), True, False, None])
        case 2:
            return [random_value(source, depth - 1) for _ in range(source.randrange(4))] if depth else 3
    return {source.choice(texts) + str(i): random_value(source, depth - 1) for i in range(source.randrange(4))}


def test_plain_values_are_read_as_they_were_written() -> None:
    source = random.Random(3)
    for _ in range(150):
        value = random_value(source, 4)
        style = source.choice([None, True, False])
        text = yaml.safe_dump(value, default_flow_style=style, allow_unicode=source.random() < 0.5)
        assert read_text(text) == Content(value, [])


@pytest.mark.parametrize("path", [*sorted(PIPELINES.glob("*.yaml")), PROJECT / "params.yaml"], ids=lambda p: p.stem)
def test_files_of_the_project_are_read_as_pyyaml_reads_them(path: Path) -> None:
    assert read_file(path) == (yaml.safe_load(path.read_text()), [])


def test_damage_anywhere_is_a_value_or_an_error() -> None:
    source, whole = random.Random(5), "a: {b: [1, 2.5, 'x'], c: true}\n? d\n: |\n  text\ne: &f \"\\u00e9\"\n%!*<<0x"
    signs = "\0\t\n !&*?|>%@`'\"#,[]{}:-~0x9\\Uu\ud800\u2028\ufeff" + string.ascii_lowercase
    for _ in range(2000):
        damaged = list(whole[: source.randrange(1, len(whole))])
        for _ in range(source.randrange(1, 8)):
            damaged[source.randrange(len(damaged))] = source.choice(signs)
        try:
            value, faults = read_text("".join(damaged))
        except ValueError:
            continue
        assert faults or value == yaml.load("".join(damaged), _PlainLoader)


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's own reader, for which a date is text too."""


_PlainLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
_PlainLoader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


def test_depth_up_to_the_bound_is_read() -> None:
    assert not read_text("[" * MOST_DEPTH + "]" * MOST_DEPTH).faults
    with pytest.raises(ValueError, match="more than 20 levels"):
        read_text("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1))


def test_a_pipelines_faults_and_wrong_keys_are_one_error(tmp_path: Path) -> None:
    text = (
        DEFAULT.read_text().replace("\nseed: 1", "\nseed: !!int x").replace("  dropout:", "  dropout: 0.1\n  dropout:")
    )
    (tmp_path / "mine.yaml").write_text(text + "clff: 1\n")
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "mine.yaml", {"clf.epochs": -1})
    told = str(error.value)
    line = text.split("\n").index("  dropout: 0.1") + 1
    for part in (
        f"model.dropout: found the key again, first in line {line} (line {line + 1})",
        "seed: found 'x', which is no int (line 4)",
        "clff: no such key",
        "clf.epochs: expected 0 to 10,000, found -1",
    ):
        assert part in told


def test_many_faults_are_counted_and_a_hundred_shown(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(DEFAULT.read_text() + "".join(f"key{i}: 1\n" for i in range(5000)))
    started = time.process_time()
    with pytest.raises(ConfigError, match="4,900 more") as error:
        load_config(tmp_path / "mine.yaml")
    assert len(str(error.value)) < 20_000
    assert time.process_time() - started < 30


@pytest.mark.parametrize("value", ["!!int abc", "9" * 5000, "[" * 5000, "{a: 1, a: 2}", "*x", '"\\UFFFFFFFF"'])
def test_an_override_is_read_as_strictly(value: str) -> None:
    with pytest.raises(ConfigError, match=r"where: --set\nfound: .*clf\.epochs") as error:
        parse_overrides([f"clf.epochs={value}", "x"])
    assert "; 'x': expected section.key=value" in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", [b"runs: {a: 1, a: 2}", b"runs: \xff", b"[" * 9999, b"runs: !!int x"])
def test_the_table_of_dvc_is_read_as_strictly(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        dvc_table.load(tmp_path / "params.yaml")
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        content_of(tmp_path / "params.yaml")


def test_a_file_beyond_the_bound_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "mine.yaml").open("wb") as file:
        file.truncate(1 << 36)  # takes no room on the disk, and no memory holds it
    with pytest.raises(ConfigError, match="more than 262,144 bytes"):
        load_config(tmp_path / "mine.yaml")
