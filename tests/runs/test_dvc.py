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
from xmlcli.config.pipeline_files import find_pipeline
from xmlcli.config.sections import Config
from xmlcli.errors import ConfigError
from xmlcli.runs import dvc_table
from xmlcli.runs.plan import plan
from xmlcli.runs.stage_registry import find_stage, module_name
from xmlcli.stages.call import Call, RunId
from xmlcli.storage.workspace import Workspace

PREFIX = "PATH=.venv/bin:$PATH "
Runs = list[tuple[RunId, Config]]


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


def check(folder: Path, runs: Runs) -> None:
    """Compare every call of the runs' plans with DVC's stage of that name; DVC has no other stages but `settings`."""
    stages = resolve(folder)
    for run, config in runs:
        check_settings(stages.pop(f"settings@{run.name}"), folder, run)
        for call in plan(config, run):
            check_call(stages.pop(call.dvc_name), folder, call)
    assert not stages


def settings_of(folder: Path, run: RunId) -> str:
    return Workspace(folder, run.name).settings_path.relative_to(folder).as_posix()


def check_settings(stage: Any, folder: Path, run: RunId) -> None:
    assert stage.cmd == f"{PREFIX}xmlcli settings {run.options}"
    assert relative(stage.deps, folder) == {"pipelines"}
    assert relative(stage.outs, folder) == {settings_of(folder, run)}
    assert not parameters(stage, folder)


def check_call(stage: Any, folder: Path, call: Call) -> None:
    workspace = Workspace(folder, call.run.name)
    assert stage.cmd == PREFIX + call.command
    assert relative(stage.deps, folder) == {workspace.relative(ref).as_posix() for ref in call.inputs.values()}
    metrics = {f"metrics/{call.run.name}/cycle{call.cycle}.json"} if call.stage == "evaluate" else set()
    assert relative(stage.outs, folder) == {workspace.relative(call.output).as_posix()} | metrics
    assert {Path(o.fs_path).name for o in stage.outs if not o.use_cache} == {Path(m).name for m in metrics}
    module, settings = f"xmlcli/stages/{module_name(call.stage)}.py", settings_of(folder, call.run)
    tracked = parameters(stage, folder)
    tracked.pop("xmlcli/datasets/synthetic/demo.py", None)
    assert set(tracked) == {settings, module}
    assert tracked[module] == {"VERSION"}
    assert tracked[settings] == set(find_stage(call.stage).sections)


def shipped_runs() -> Runs:
    """Return the runs of the project's own table, each with the settings of the project's own pipeline."""
    runs = dvc_table.read_runs(PROJECT / "params.yaml")
    return [(run, load_config(PROJECT / find_pipeline(run.dataset_name, run.profile))) for run in runs]


def test_dvc_runs_the_plan_of_every_run_in_its_table() -> None:
    check(PROJECT, shipped_runs())


def test_the_table_as_shipped_is_what_would_be_written() -> None:
    runs = shipped_runs()
    assert "demo" in [run.name for run, _ in runs]
    assert dvc_table.is_written(PROJECT / "params.yaml", dvc_table.table(runs))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A DVC repository without git that holds dvc.yaml and the pipelines."""
    shutil.copy(PROJECT / "dvc.yaml", tmp_path)
    shutil.copytree(PIPELINE.parent, tmp_path / "pipelines")
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def test_dvc_runs_the_plan_of_several_datasets_profiles_and_numbers_of_cycles(project: Path) -> None:
    runs = [
        (RunId("demo"), make_config(cycles=1)),
        (RunId("eurlex"), make_config(cycles=4)),
        (RunId("demo", "authors"), make_config(cycles=2, final_refresh=False)),
    ]
    dvc_table.write(project / "params.yaml", dvc_table.table(runs))
    check(project, runs)


def test_a_written_table_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    runs = [RunId("demo"), RunId("demo", "authors"), RunId("eurlex")]
    table = dvc_table.table([(run, make_config()) for run in runs])
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
