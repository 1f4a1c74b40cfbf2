"""The pages: README's commands run, links and paths lead somewhere, tables are narrow, figures are the measured ones.

Blocks of README marked `sh` and `python` are run, in their order, in one empty folder; blocks marked `console` need a
network, a cluster or an installation, and are only shown.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from support.paths import PROJECT

PAGES = sorted(
    path for folder in (".", "docs", "benchmarks", "data") for path in (PROJECT / folder).glob("*.md")
    if (folder, path.name) == ("data", "README.md") or folder != "data"
)  # fmt: skip
NARROW = [page for page in PAGES if page.parent.name != "benchmarks" and page.name not in ("log.md", "CHANGELOG.md")]
ARCHITECTURE = PROJECT / "docs" / "architecture.md"
COLUMNS = 8
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


# README's commands


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each runnable block of README prints, run in an empty folder without a network."""
    folder, programs = tmp_path_factory.mktemp("readme"), tmp_path_factory.mktemp("bin")
    command = programs / "xmlcli"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m xmlcli "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT), "XMLCLI_OFFLINE": "1",
        "XMLCLI_DATA": "", "COLUMNS": "100",
    }  # fmt: skip
    start = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    outputs = []
    for language, text in FENCE.findall((PROJECT / "README.md").read_text(encoding="utf-8")):
        if language in start:
            done = subprocess.run(
                [*start[language], text], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            outputs.append(done.stdout)
    return outputs


@pytest.mark.timeout(400)  # where nothing is compiled yet
def test_the_commands_of_readme_run_and_its_csv_is_learnt(printed: list[str]) -> None:
    table, python, others = printed
    shown = next(text for language, text in FENCE.findall((PROJECT / "README.md").read_text()) if language == "text")

    def best(table: str) -> str:
        return re.findall(r"^│ (\w+)", table, re.MULTILINE)[0]

    assert best(table[table.rindex("┏") :]) == best(shown) == "delivery"
    assert python.startswith("[[('delivery', 0.")
    assert python.count("(") == 2
    report = json.loads(re.findall(r"^\{.*\}$", others, re.MULTILINE)[0])
    assert report["dataset"] == "tickets"


# links


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosting sites make them."""
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


def links(page: Path) -> list[str]:
    text = prose(page)
    inline = re.findall(r"\]\(([^)\s]+)\)", text)
    return inline + re.findall(r"^\[[^\]]+\]: *(\S+)", text, re.MULTILINE)


def is_broken(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return False
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    if not path.exists() or not path.is_relative_to(PROJECT):
        return True
    return bool(anchor) and (path.suffix != ".md" or anchor not in slugs(path))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    broken = sorted({link for link in links(page) if is_broken(page, link)})
    assert not broken, f"{name(page)} links to what is not there: {broken}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_by_reference_are_defined(page: Path) -> None:
    text = prose(page)
    defined = {key.lower() for key in re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE)}
    used = {(key or title).lower() for title, key in re.findall(r"\[([^\[\]]+)\]\[([^\[\]]*)\]", text)}
    if defined:  # elsewhere two brackets are Python's
        assert used <= defined, f"{name(page)} has no address for {sorted(used - defined)}"


def test_every_page_of_docs_is_listed_in_its_readme() -> None:
    listed = {link.partition("#")[0] for link in links(PROJECT / "docs" / "README.md")}
    missing = [page.name for page in PAGES if page.parent.name == "docs" and page.name not in {*listed, "README.md"}]
    assert not missing, f"docs/README.md does not say what to read {missing} for"


# docs/architecture.md


def test_paths_in_the_architecture_page_exist() -> None:
    named = re.findall(r"`([\w./-]+)`", ARCHITECTURE.read_text(encoding="utf-8"))
    paths = [path for path in named if "/" in path or path.endswith((".py", ".md", ".yaml", ".toml"))]
    assert len(paths) > 50
    tops = (PROJECT, PROJECT / "xmlcli")
    missing = sorted({path for path in paths if not any((top / path).exists() for top in tops)})
    assert not missing, "docs/architecture.md names what is not there:\n" + "\n".join(missing)


def test_the_architecture_page_names_every_room_and_the_contract() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rooms = [f"`{path.parent.relative_to(PROJECT)}/`" for path in (PROJECT / "xmlcli").rglob("*/__init__.py")]
    missing = [room for room in rooms if room not in text]
    assert not missing, f"docs/architecture.md does not describe {missing}"
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert "\n".join(" " * 8 + layer for layer in layers) in text, "the page has other layers than pyproject.toml"


# tables and figures


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))]


@pytest.mark.parametrize("page", NARROW, ids=name)
def test_tables_have_at_most_eight_columns(page: Path) -> None:
    heads = re.findall(r"^(\|.*)\n\|[-|: ]+\|$", prose(page), re.MULTILINE)
    wide = [head for head in heads if len(cells(head)) > COLUMNS]
    assert not wide, f"{name(page)} has tables of more than {COLUMNS} columns:\n" + "\n".join(wide)


def test_figures_of_readme_are_the_measured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    from accuracy_chart import read_figures  # type: ignore[import-not-found]

    accuracy = read_figures((PROJECT / "benchmarks" / "accuracy.md").read_text(encoding="utf-8"))
    speed = set(re.findall(r"[\d.]+\d", (PROJECT / "benchmarks" / "speed.md").read_text(encoding="utf-8")))
    rows = [cells(row) for row in re.findall(r"^\|.*\|$", prose(PROJECT / "README.md"), re.MULTILINE)]
    rows = [row for row in rows if len(row) == 7 and row[2][:1].isdigit()]
    assert len(rows) == 9
    collection = ""
    for first, program, *figures in rows:
        collection = first.replace(",000", "000") if program == "xmlcli" else collection
        name = "xmlcli, default" if program == "xmlcli" else program
        measured = accuracy[collection][name]
        assert figures[:2] == [f"{measured[metric]:.2f}" for metric in ("P@1", "PSP@5")], (collection, program)
        assert set(figures[2:]) <= speed, (collection, program)
