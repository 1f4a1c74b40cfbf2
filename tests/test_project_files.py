"""The files around the package agree with each other: make, hooks, workflow, metadata, citation."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import yaml
from support.paths import PROJECT

from xmlcli.version import __version__


def load(path: str) -> Any:
    return yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))


def test_make_alone_says_what_each_target_does() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    printed = subprocess.run(["make"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make (\w+) +\S", printed, re.MULTILINE) == phony.split()


def test_hooks_run_what_make_lint_runs() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    linters = re.findall(r"\$\(BIN\)/([\w-]+)", recipe)
    hooks = [hook["entry"] for repo in load(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert [re.match(r"\.venv/bin/([\w-]+)", entry)[1] for entry in hooks] == linters  # type: ignore[index]


def test_the_workflow_checks_every_python_that_is_declared() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [text.rpartition(" ")[2] for text in project["classifiers"] if re.search(r"Python :: 3\.\d+", text)]
    job = load(".github/workflows/ci.yml")["jobs"]["check"]
    assert job["strategy"]["matrix"]["python"] == declared
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert project["requires-python"] == f">={declared[0]}"


def test_a_bug_report_asks_for_versions_command_and_output() -> None:
    fields = load(".github/ISSUE_TEMPLATE/bug.yml")["body"]
    required = {field["id"] for field in fields if field["validations"]["required"]}
    assert {"versions", "command", "output"} <= required


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = load("CITATION.cff")
    assert citation["version"] == __version__
    assert "2304.11045" in citation["preferred-citation"]["url"]
