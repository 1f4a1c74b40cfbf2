"""An installed package works without its checkout: what the wheel holds, and where pipelines are looked up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import PROJECT

from xmlcli.config import pipeline_files
from xmlcli.config.pipeline_files import find_pipeline, shipped_default, shipped_folder
from xmlcli.errors import ConfigError

FIT = """
import xmlcli
texts = ["apples and pears", "pears and plums", "bolts and nuts", "nuts and screws"] * 10
labels = [["fruit"], ["fruit"], ["hardware"], ["hardware"]] * 10
model = xmlcli.fit(texts, labels, settings={"model.dim": 16, "cycles": 1, "clf.min_documents": 500})
print(xmlcli.__file__, model.predict(["pears"], k=1)[0][0][0])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel built from a copy of the checkout and installed beside nothing else."""
    pytest.importorskip("setuptools", minversion="77")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("xmlcli", "pipelines"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


def run(installed: Path, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run python in `folder` with the installed package in place of the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed), **variables}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_every_module_and_every_pipeline(installed: Path) -> None:
    def names(folder: Path, pattern: str) -> list[str]:
        return sorted(str(path.relative_to(folder)) for path in folder.rglob(pattern))

    assert names(installed / "xmlcli", "*.py") == names(PROJECT / "xmlcli", "*.py")
    assert names(installed / "xmlcli" / "pipelines", "*") == names(PROJECT / "pipelines", "*")


def test_an_installed_package_fits_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-c", FIT, NUMBA_DISABLE_JIT="1")  # compiling would take longer than running
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(installed / "xmlcli" / "__init__.py"), "fruit"]
    assert not list(tmp_path.iterdir())


def test_an_installed_command_knows_the_pipelines(installed: Path, tmp_path: Path) -> None:
    plan = ("-m", "xmlcli", "plan", "--dataset", "demo", "--profile")
    assert "prepare@demo-authors" in run(installed, tmp_path, *plan, "authors").stdout
    assert "no pipeline called 'nonsense'" in run(installed, tmp_path, *plan, "nonsense").stderr


def write(folder: Path, *names: str) -> None:
    (folder / "pipelines").mkdir()
    for name in names:
        (folder / "pipelines" / f"{name}.yaml").touch()


def test_a_file_of_the_current_folder_comes_first_and_the_programs_own_fill_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "books", "authors")
    monkeypatch.chdir(tmp_path)
    assert find_pipeline("books") == Path("pipelines/books.yaml")
    assert find_pipeline("demo", "authors") == Path("pipelines/authors.yaml")
    assert find_pipeline("demo") == PROJECT / "pipelines" / "default.yaml"
    assert find_pipeline("books", "default") == PROJECT / "pipelines" / "default.yaml"
    with pytest.raises(ConfigError, match=r"no pipeline called 'demo'(.|\n)*authors, .*, books, default"):
        find_pipeline("books", "demo")


def test_pipelines_inside_the_package_come_before_a_folder_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped_folder() == PROJECT / "pipelines"
    package = tmp_path / "xmlcli"
    package.mkdir()
    monkeypatch.setattr(pipeline_files, "__file__", str(package / "config" / "pipeline_files.py"))
    assert shipped_default() == tmp_path / "pipelines" / "default.yaml"
    write(package, "default")
    assert shipped_default() == package / "pipelines" / "default.yaml"
