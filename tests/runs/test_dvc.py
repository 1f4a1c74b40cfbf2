"""dvc.yaml and the program's own plan say the same, for the table as shipped and for others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from support.fake_stages import PIPELINE, make_config
from support.paths import PROJECT

from xmlcli.config.load import load_config
from xmlcli.config.sections import Config
from xmlcli.errors import ConfigError
from xmlcli.runs import dvc_table
from xmlcli.runs.plan import plan
from xmlcli.runs.stage_registry import find_stage, module_name
from xmlcli.stages.call import Call, RunId
from xmlcli.storage.workspace import Workspace

PREFIX = "PATH=.venv/bin:$PATH "


def resolve(folder: Path) -> dict[str, Any]:
    """Return DVC's stages by name."""
    with Repo(str(folder)) as repo:
        return {stage.name: stage for stage in repo.index.stages}


def relative(items: list[Any], folder: Path) -> set[str]:
    """Return paths of deps or outs, parameters left out."""
    return {Path(i.fs_path).relative_to(folder).as_posix() for i in items if not hasattr(i, "params")}


def parameters(stage: Any, folder: Path) -> dict[str, set[str]]:
    """Return file → tracked keys."""
    return {Path(d.fs_path).relative_to(folder).as_posix(): set(d.params) for d in stage.deps if hasattr(d, "params")}


def check(stages: dict[str, Any], folder: Path, run: RunId, config: Config, pipeline: str) -> None:
    """Compare every call of a run's plan with DVC's stage of that name."""
    for call in plan(config, run):
        check_call(stages.pop(call.dvc_name), folder, call, pipeline)


def check_call(stage: Any, folder: Path, call: Call, pipeline: str) -> None:
    workspace = Workspace(folder, call.run.name)
    assert stage.cmd == PREFIX + call.command
    assert relative(stage.deps, folder) == {workspace.relative(ref).as_posix() for ref in call.inputs.values()}
    metrics = {f"metrics/{call.run.name}/cycle{call.cycle}.json"} if call.stage == "evaluate" else set()
    assert relative(stage.outs, folder) == {workspace.relative(call.output).as_posix()} | metrics
    assert {Path(o.fs_path).name for o in stage.outs if not o.use_cache} == {Path(m).name for m in metrics}
    module = f"xmlcli/stages/{module_name(call.stage)}.py"
    tracked = parameters(stage, folder)
    tracked.pop("xmlcli/datasets/synthetic/demo.py", None)
    assert set(tracked) == {pipeline, module}
    assert tracked[module] == {"VERSION"}
    if (PROJECT / module).exists():
        assert tracked[pipeline] == set(find_stage(call.stage).sections)


def test_dvc_runs_the_plan_of_every_run_in_its_table() -> None:
    stages = resolve(PROJECT)
    for run in dvc_table.read_runs(PROJECT / "params.yaml"):
        row = dvc_table.load(PROJECT / "params.yaml")["runs"][run.name]
        check(stages, PROJECT, run, load_config(PROJECT / row["pipeline"]), row["pipeline"])
    assert not stages


def test_the_table_as_shipped_is_what_would_be_written() -> None:
    runs = dvc_table.read_runs(PROJECT / "params.yaml")
    assert "demo" in [run.name for run in runs]
    described = []
    for run in runs:
        name = dvc_table.load(PROJECT / "params.yaml")["runs"][run.name]["pipeline"]
        described.append((run, load_config(PROJECT / name), name))
    assert dvc_table.is_written(PROJECT / "params.yaml", dvc_table.table(described))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A DVC repository without git that holds dvc.yaml and the pipelines."""
    shutil.copy(PROJECT / "dvc.yaml", tmp_path)
    shutil.copytree(PIPELINE.parent, tmp_path / "pipelines")
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def test_dvc_runs_the_plan_of_several_datasets_profiles_and_numbers_of_cycles(project: Path) -> None:
    runs = [
        (RunId("demo"), make_config(cycles=1), "pipelines/default.yaml"),
        (RunId("eurlex"), make_config(cycles=4), "pipelines/default.yaml"),
        (RunId("demo", "authors"), make_config(cycles=2, final_refresh=False), "pipelines/authors.yaml"),
    ]
    dvc_table.write(project / "params.yaml", dvc_table.table(runs))
    stages = resolve(project)
    for run, config, pipeline in runs:
        check(stages, project, run, config, pipeline)
    assert not stages


def test_a_written_table_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    runs = [RunId("demo"), RunId("demo", "authors"), RunId("eurlex")]
    table = dvc_table.table([(run, make_config(), "pipelines/default.yaml") for run in runs])
    assert dvc_table.read_runs(path) == []
    assert not dvc_table.is_written(path, table)
    dvc_table.write(path, table)
    assert dvc_table.read_runs(path) == runs
    assert dvc_table.is_written(path, table)


@pytest.mark.parametrize("text", ["runs: [", "runs: 3", "- 1", "runs: {demo: 1}"])
def test_a_damaged_table_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        dvc_table.read_runs(path)
