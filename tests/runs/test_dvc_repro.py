"""`dvc repro` after an edit of a pipeline file: exactly the stages run again whose settings changed.

The stages are fakes that always write the same bytes, so that a stage runs for its own settings alone and not for its
inputs; `settings` is the program's own.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from dvc.repo import Repo
from support.fake_stages import FAKES, PIPELINE
from support.paths import PROJECT

from xmlcli import cli
from xmlcli.config.load import load_config
from xmlcli.runs import dvc_table, runner
from xmlcli.runs.plan import plan
from xmlcli.runs.stage_registry import find_stage, module_name
from xmlcli.stages.call import RunId

RUNS = (RunId("demo", "mine"), RunId("demo", "other"))
FILES = {
    "mine": "base: default\nclf: {epochs: 3}\nevaluate: {voters: null}\n",
    "other": "base: mine\nseed: 7\nclf:\n  epochs: 5\n",
}
FAKE = """#!{python} -SE
import os, pathlib, sys
stage, dataset, options = sys.argv[1], sys.argv[3], dict(zip(sys.argv[2::2], sys.argv[3::2]))
run = "-".join([dataset] + [options[o] for o in ("--profile",) if o in options])
name = "-".join([stage] + [options[o] for o in ("--cycle",) if o in options])
with open("log", "a") as log:
    print(run, name, file=log)
if stage == "settings":
    os.execv("{python}", ["{python}", "-m", "xmlcli", *sys.argv[1:]])
base, cycle = pathlib.Path("artifacts", run), options.get("--cycle", "0")
kinds = {{"init-clf": "clf", "train-clf": "clf", "finish": "clf", "embed-labels": "labels", "combine": "combination"}}
kind = {{**kinds, "evaluate": "evaluation"}}.get(stage, stage)
if stage == "finish":
    cycle = int(cycle) + 1
folder = base / "prepared" if stage == "prepare" else base / f"cycle{{cycle}}" / kind
folder.mkdir(parents=True)
(folder / "content").write_text(name)
if stage == "evaluate":
    metrics = pathlib.Path("metrics", run, f"cycle{{cycle}}.json")
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text("{{}}")
"""


def make_project(folder: Path) -> None:
    """Make a DVC project whose stages are fakes; `mine` builds on `default`, `other` on `mine`."""
    shutil.copy(PROJECT / "dvc.yaml", folder)
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "default.yaml").write_text(PIPELINE.read_text().replace("\ncycles: 2", "\ncycles: 1"))
    for name, text in FILES.items():
        (folder / "pipelines" / f"{name}.yaml").write_text(text)
    modules = [f"xmlcli/stages/{module_name(stage)}.py" for stage in stages_of(PIPELINE)]
    for source in (*modules, "xmlcli/datasets/synthetic/demo.py"):  # DVC reads VERSION there, Python elsewhere
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / source, folder / source)
    command = folder / ".venv" / "bin" / "xmlcli"
    command.parent.mkdir(parents=True)
    command.write_text(FAKE.format(python=sys.executable))
    command.chmod(0o755)
    Repo.init(str(folder), no_scm=True).close()


def enter(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Go to a project whose fakes find the program's own modules."""
    patch.setenv("PYTHONSAFEPATH", "1")  # or the folder's xmlcli/ would be imported, which lacks most modules
    patch.setenv("PYTHONPATH", str(PROJECT))
    patch.chdir(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose runs were made once."""
    folder = tmp_path_factory.mktemp("trained")
    make_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        enter(patch, folder)
        table = [(run, load_config(folder / "pipelines" / f"{run.profile}.yaml")) for run in RUNS]
        dvc_table.write(folder / "params.yaml", dvc_table.table(table))
        expected = {f"{run.name} {call.name}" for run, config in table for call in plan(config, run)}
        assert repro(folder) == expected | {f"{run.name} settings" for run in RUNS}
        yield folder


def stages_of(pipeline: Path) -> list[str]:
    return list(dict.fromkeys(call.stage for call in plan(load_config(pipeline), RUNS[0])))


def repro(folder: Path) -> set[str]:
    """Run what DVC finds changed, and return it as "run call"."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    with Repo(str(folder)) as repo:
        repo.reproduce()
    lines = log.read_text().splitlines() if log.exists() else []
    assert len(lines) == len(set(lines)), "nothing runs twice"
    return set(lines)


def depending_on(sections: set[str], folder: Path, run: RunId) -> set[str]:
    """Return the calls of a run that depend on any of the sections, as "run call"."""
    calls = plan(load_config(folder / "pipelines" / f"{run.profile}.yaml"), run)
    return {f"{run.name} {call.name}" for call in calls if sections & set(find_stage(call.stage).sections)}


EDITS = {
    "values of the base, of which the others have two of their own": (
        {"default": [("seed: 1", "seed: 2"), ("min_df: 2", "min_df: 3"), ("  epochs: 2 # one", "  epochs: 4 # one")]},
        {"demo-mine": {"seed", "prepare"}, "demo-other": {"prepare"}},
    ),
    "a value of the base that all have of their own": ({"default": [("voters: 50", "voters: 40")]}, {}),
    "values of a file that another builds on": (
        {"mine": [("epochs: 3", "epochs: 6"), ("voters: null", "voters: null, top_k: 50")]},
        {"demo-mine": {"clf", "evaluate"}, "demo-other": {"evaluate"}},
    ),
    "a value, and one that was the base's": (
        {"other": [("  epochs: 5\n", "  epochs: 4\nmodel: {dropout: 0.1}\n")]},
        {"demo-other": {"clf", "model"}},
    ),
    "another base": ({"other": [("base: mine", "base: default")]}, {"demo-other": {"evaluate"}}),
    "a comment": ({"default": [("cycles: 1 # the", "cycles: 1 # what the")]}, {}),
}


@pytest.mark.parametrize(("edits", "changed"), EDITS.values(), ids=EDITS)
def test_an_edit_runs_again_what_depends_on_a_changed_value_and_nothing_else(
    trained: Path, edits: dict[str, list[tuple[str, str]]], changed: dict[str, set[str]]
) -> None:
    expected = {call for run in RUNS for call in depending_on(changed.get(run.name, set()), trained, run)}
    kept = [trained / "dvc.lock", *trained.glob("pipelines/*.yaml"), *trained.glob("runs/*/settings.yaml")]
    contents = [file.read_bytes() for file in kept]
    try:
        for name, replacements in edits.items():
            path = trained / "pipelines" / f"{name}.yaml"
            for before, after in replacements:
                assert path.read_text().count(before) == 1
                path.write_text(path.read_text().replace(before, after))
        made = repro(trained)
    finally:
        for restored, content in zip(kept, contents, strict=True):
            restored.write_bytes(content)
    assert {call for call in made if not call.endswith(" settings")} == expected


def test_nothing_runs_where_nothing_was_edited(trained: Path) -> None:
    assert repro(trained) == set()


def test_settings_that_were_removed_come_back_and_nothing_else_runs(trained: Path) -> None:
    (trained / "runs" / "demo-mine" / "settings.yaml").unlink()
    assert repro(trained) <= {"demo-mine settings"}
    assert (trained / "runs" / "demo-mine" / "settings.yaml").is_file()


def test_what_train_made_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path)
    enter(monkeypatch, tmp_path)
    run, config = RUNS[0], load_config(tmp_path / "pipelines" / "mine.yaml")
    dvc_table.write(tmp_path / "params.yaml", dvc_table.table([(run, config)]))
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=FAKES.__getitem__))
    monkeypatch.setattr(sys, "argv", ["xmlcli", "train", "--device", "cpu", *run.options.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "lock file" not in capsys.readouterr().err
    made = {path: path.stat().st_ino for path in (tmp_path / "artifacts").rglob("*")}
    assert repro(tmp_path) == set()
    assert {path: path.stat().st_ino for path in (tmp_path / "artifacts").rglob("*")} == made
    (tmp_path / "pipelines" / "mine.yaml").write_text(FILES["mine"].replace("epochs: 3", "epochs: 4"))
    again = ("settings", "train-clf-1", "embed-labels-2", "combine-1", "finish-1", "embed-labels-3", "evaluate-1")
    assert repro(tmp_path) == {f"{run.name} {name}" for name in again}
