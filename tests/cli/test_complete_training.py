"""predict, export and evaluate answer from one complete training, or refuse and name the command that makes one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import small_model
from support.command_line import main
from support.fake_stages import FAKES, make_config, make_session, stage, train_clf
from support.paths import PROJECT
from support.small_model import SMALL, SUBJECTS

from xmlcli.cli.options import Options
from xmlcli.cli.predict import open_trained
from xmlcli.runs import runner
from xmlcli.runs.plan import find_call, plan
from xmlcli.stages.call import RunId
from xmlcli.stages.job import Job
from xmlcli.storage.workspace import Workspace, lock

TEXT = "storms0 storms1 storms2 storms3"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the small trained run, and its dataset with other names of the labels."""
    shutil.copytree(small_model.run(), tmp_path / "root")
    for file in (tmp_path / "root" / "data" / "subjects").glob("*.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        renamed = [row | {"labels": [SUBJECTS[-1 - SUBJECTS.index(name)] for name in row["labels"]]} for row in rows]
        file.write_text("\n".join(map(json.dumps, renamed)))
    return tmp_path / "root"


def words(root: Path) -> list[str]:
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return ["--dataset", str(root / "data" / "subjects"), "--root", str(root), *settings]


def exported(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    assert main(monkeypatch, "export", *words(root), str(folder)) == 0
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_after_prepare_on_changed_labels_the_old_training_answers_and_is_exported(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main(monkeypatch, "predict", *words(root), "--text", TEXT) == 0
    before, bytes_before = capsys.readouterr().out, exported(root, tmp_path / "a", monkeypatch)
    capsys.readouterr()
    assert main(monkeypatch, "evaluate", "--json", *words(root)) == 0
    report = capsys.readouterr().out
    assert main(monkeypatch, "prepare", *words(root), "--device", "cpu") == 0
    capsys.readouterr()
    assert main(monkeypatch, "predict", *words(root), "--text", TEXT) == 0
    assert capsys.readouterr().out == before
    assert "storms" in before
    assert exported(root, tmp_path / "b", monkeypatch) == bytes_before
    capsys.readouterr()
    assert main(monkeypatch, "evaluate", "--json", *words(root)) == 0
    assert capsys.readouterr().out == report
    shutil.rmtree(root / "snapshots")
    for command in (["predict", "--text", TEXT], ["export", str(tmp_path / "c")], ["evaluate"]):
        assert main(monkeypatch, *command, *words(root)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "no complete training of subjects" in line
        assert f"what to do: xmlcli train --dataset {root / 'data' / 'subjects'} --set clf.min_documents=1000 " in line
    assert not (tmp_path / "c").exists()


def test_a_pipeline_file_edited_after_training_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(dataset=str(small_model.run() / "data" / "subjects"), root=small_model.run())
    before = open_trained(options, lambda trained: trained.model()).predict([TEXT])
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "subjects.yaml").write_text("cycles: nonsense\n")
    monkeypatch.chdir(tmp_path)
    assert open_trained(options, lambda trained: trained.model()).predict([TEXT]) == before


def fakes(monkeypatch: pytest.MonkeyPatch, **stages: Any) -> None:
    chosen = FAKES | {name.replace("_", "-"): stage for name, stage in stages.items()}
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=chosen.__getitem__))


def demo(root: Path, *settings: str) -> list[str]:
    given = [word for setting in ("cycles=1", *settings) for word in ("--set", setting)]
    return ["--dataset", "demo", "--root", str(root), "--device", "cpu", *given]


def test_evaluate_measures_with_other_settings_only_where_all_before_is_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fakes(monkeypatch)
    assert main(monkeypatch, "train", *demo(tmp_path)) == 0
    assert main(monkeypatch, "evaluate", *demo(tmp_path, "evaluate.top_k=9")) == 0
    assert "evaluate.top_k is 9, was" in capsys.readouterr().err
    published = json.loads((tmp_path / "snapshots" / "demo" / "snapshot.json").read_text())
    assert published["settings"]["evaluate"]["top_k"] == 9
    assert main(monkeypatch, "prepare", *demo(tmp_path, "prepare.min_df=3")) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for setting in ("evaluate.top_k=7", "prepare.min_df=3", "clf.epochs=9"):
        capsys.readouterr()
        assert main(monkeypatch, "evaluate", *demo(tmp_path, setting)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "the complete training of demo has other settings" in line
        assert "xmlcli train --dataset demo --set cycles=1 " in line
        assert f"--set {setting}" in line
    assert main(monkeypatch, "evaluate", "--metric", "P@1", *demo(tmp_path, "evaluate.top_k=9")) == 0
    shown = capsys.readouterr()
    assert shown.out == "P@1 33.25\n"
    assert "prepare would run: " in shown.err
    assert "these are figures of the complete training" in shown.err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_cycle_measured_while_stages_run_one_by_one_is_shown_though_no_training_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fakes(monkeypatch)
    every = demo(tmp_path, "cycles=2", "measure_every_cycle=true")
    config = make_config(cycles=2)
    session, calls = make_session(tmp_path, config), plan(config, RunId("demo"))
    runner.run(session, calls[: calls.index(find_call(calls, "evaluate", 1))], calls)
    assert main(monkeypatch, "evaluate", "--cycle", "2", *every) == 2
    assert "shortlist-2 would run: no output yet" in capsys.readouterr().err
    assert main(monkeypatch, "evaluate", "--cycle", "1", "--metric", "P@1", *every) == 0
    assert capsys.readouterr().out == "P@1 33.25\n"


def test_beside_a_process_that_trains_the_old_training_answers_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fakes(monkeypatch)
    assert main(monkeypatch, "train", *demo(tmp_path)) == 0
    (tmp_path / "artifacts" / "demo" / "cycle1" / "evaluation" / "manifest.json").unlink()
    capsys.readouterr()
    with lock(Workspace(tmp_path, "demo")):
        for command in (demo(tmp_path), ["--root", str(tmp_path)]):
            assert main(monkeypatch, "evaluate", "-m", "P@1", *command) == 0
            assert capsys.readouterr().out == "P@1 33.25\n"
        assert main(monkeypatch, "evaluate", *demo(tmp_path, "evaluate.top_k=9")) == 2
        assert "another run works on 'demo'" in capsys.readouterr().err


def test_train_says_when_the_dataset_changed_while_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    raw = ["1"]

    def changing(job: Job) -> None:
        train_clf(job)
        raw.append("2")

    prepare = replace(FAKES["prepare"], sources=lambda: lambda job: {"raw": raw[-1]})
    fakes(monkeypatch, prepare=prepare, train_clf=stage(changing, "seed", "clf"))
    assert main(monkeypatch, "train", *demo(tmp_path)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "the training of demo is not complete" in line
    assert "prepare would run again: raw file raw changed" in line
    assert main(monkeypatch, "train", *demo(tmp_path)) == 0


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support import fake_stages
from xmlcli.runs import runner
from xmlcli.runs.plan import plan
from xmlcli.stages.call import RunId

def on_done(call, seconds):
    if call.name == "train-clf-2":
        os.kill(os.getpid(), signal.SIGKILL)

for config in (fake_stages.make_config(cycles=2), fake_stages.make_config(cycles=2, seed=2)):
    calls = plan(config, RunId("demo"))
    session = fake_stages.make_session(Path(sys.argv[1]), config)
    runner.run(replace(session, on_done=on_done) if config.seed == 2 else session, calls, calls)
"""


def test_after_train_with_another_seed_killed_behind_its_last_train_clf_the_old_training_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(PROJECT / "tests")]
    assert subprocess.run(command, check=False, cwd=PROJECT).returncode == -9
    fakes(monkeypatch)
    given = ["--dataset", "demo", "--root", str(tmp_path), "--set", "measure_every_cycle=true"]
    assert main(monkeypatch, "evaluate", "--json", *given, "--cycle", "1") == 0
    shown = capsys.readouterr()
    assert "would run: seed is 1, was 2; these are figures of the complete training" in shown.err
    assert main(monkeypatch, "evaluate", "--json", "--root", str(tmp_path), "--cycle", "1") == 0
    assert capsys.readouterr().out == shown.out
    assert main(monkeypatch, "evaluate", "--seed", "2", *given) == 2
    assert "--set seed=2" in capsys.readouterr().err
    assert main(monkeypatch, "train", "--replace", *given, "--seed", "2", "--device", "cpu") == 0
    assert main(monkeypatch, "evaluate", "--seed", "2", *given) == 0


def test_no_keep_removes_the_old_training_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def looking(job: Job) -> None:
        seen.append((tmp_path / "snapshots" / "demo" / "snapshot.json").exists())
        train_clf(job)

    fakes(monkeypatch, train_clf=stage(looking, "seed", "clf"))
    assert main(monkeypatch, "train", *demo(tmp_path)) == 0
    assert main(monkeypatch, "train", "--replace", *demo(tmp_path, "clf.epochs=8")) == 0
    assert main(monkeypatch, "train", "--no-keep", "--replace", *demo(tmp_path, "clf.epochs=9")) == 0
    assert seen == [False, True, False]


def test_a_damaged_snapshot_of_one_run_is_told_and_another_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fakes(monkeypatch)
    assert main(monkeypatch, "train", *demo(tmp_path)) == 0
    (tmp_path / "snapshots" / "broken").mkdir()
    (tmp_path / "snapshots" / "broken" / "snapshot.json").write_text("{")
    capsys.readouterr()
    assert main(monkeypatch, "evaluate", "-m", "P@1", "--root", str(tmp_path)) == 0
    shown = capsys.readouterr()
    assert shown.out == "P@1 33.25\n"
    (line,) = shown.err.splitlines()
    assert line.startswith("ignored: the snapshot of broken is damaged")
