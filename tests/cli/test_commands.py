"""The command line: speed, exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.fake_stages import FAKES, stage
from support.paths import PIPELINES, PROJECT

from xmlcli import cli
from xmlcli.runs import runner
from xmlcli.stages.job import Job

COMMANDS = (
    "train", "evaluate", "plan", "prepare", "init-clf", "embed-labels", "shortlist", "train-clf", "combine", "finish",
    "settings",
)  # fmt: skip
SMALL = ("--set", "cycles=1")


def xmlcli(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    command = [sys.executable, "-m", "xmlcli", *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands in this process over the fake stages."""
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=FAKES.__getitem__))


def main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["xmlcli", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_help_comes_fast() -> None:
    def seconds() -> float:
        started = time.perf_counter()
        assert xmlcli("--help").returncode == 0
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.3


def test_help_imports_nothing_slow() -> None:
    slow = ("torch", "numpy", "scipy", "sklearn", "yaml", "dvc")
    code = f"import sys, xmlcli.cli; assert not [m for m in {slow!r} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    found = xmlcli(command, "--help")
    assert found.returncode == 0
    assert f"Example: xmlcli {command} " in found.stdout
    assert "--root" in found.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing command"),
        (("nonsense",), "nonsense"),
        (("train", "--nonsense"), "--nonsense"),
        (("train",), "no dataset named"),
        (("train-clf", "--dataset", "demo"), "--cycle"),
        (("train", "--dataset", "demo", "--set", "clf.epoch=1"), "did you mean epochs?"),
        (("train", "--dataset", "demo", "--set", "clf"), "section.key=value"),
        (("train", "--dataset", "demo", "--profile", "nonsense"), "no pipeline called 'nonsense'"),
        (("train", "--dataset", "../a b"), "cannot be used as a name"),
        (("prepare", "--dataset", "eurlex"), "demo"),
        (("prepare", "--dataset", "nonsense"), "nonsense"),
        (("embed-labels", "--dataset", "demo", "--cycle", "99"), "cycle 1 to"),
        (("evaluate",), "nothing has been trained"),
        (("plan", "--remove", "nonsense"), "no run 'nonsense'"),
        (("plan", "--add", "../shared/bibtex"), "a path cannot go into"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    place = ("--root", str(tmp_path)) if words and words[0] != "nonsense" else ()
    found = xmlcli(*words, *place)
    assert found.returncode == 2
    assert found.stdout == ""
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1
    assert "Traceback" not in found.stderr


def test_train_makes_everything_and_shows_one_table(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "--dataset", "demo", "--root", str(tmp_path), "--device", "cpu", *SMALL)
    assert main(monkeypatch, *words) == 0
    shown = capsys.readouterr()
    first, counts, *others = shown.err.splitlines()
    documents, features = "6 training and 3 test documents", "5 features (2 of them character n-grams)"
    assert counts.strip() == f"{documents}, {features}, 4 labels, 1.25 a document"
    assert [line.split()[1] for line in (first, *others)] == [
        "prepare",
        "init-clf",
        "embed-labels-1",
        "shortlist-1",
        "train-clf-1",
        "embed-labels-2",
        "combine-1",
        "finish-1",
        "embed-labels-3",
        "evaluate-1",
    ]
    for text in ("75.00", "33.25", "12.50", "oracle", "90.00"):
        assert text in shown.out
    assert main(monkeypatch, *words) == 0
    assert all(line.endswith("current") for line in capsys.readouterr().err.splitlines())


def test_evaluate_speaks_of_the_last_trained_run(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--root", str(tmp_path))
    assert main(monkeypatch, "train", "--dataset", "demo", "--device", "cpu", *place, *SMALL) == 0
    capsys.readouterr()
    assert main(monkeypatch, "evaluate", "--metric", "psp@5", "-m", "P@1", *place) == 0
    assert capsys.readouterr() == ("PSP@5 12.50\nP@1 33.25\n", "")
    assert main(monkeypatch, "evaluate", "--json", *place) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["dataset"], report["cycle"], report["metrics"]["P@1"]) == ("demo", 1, 33.25)
    assert main(monkeypatch, "evaluate", *place) == 0
    assert "33.25" in capsys.readouterr().out
    assert main(monkeypatch, "evaluate", "--metric", "foo@1", *place) == 2
    assert "foo@1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("measured", "shown", "code"),
    [({"P@1": 12.25}, "7 validation documents", 0), ({}, "nothing to measure", 2)],
)
def test_without_test_documents_figures_are_those_of_validation(
    measured: dict[str, float],
    shown: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def untested(job: Job) -> None:
        with job.write() as out:
            out.array("test_top.npy", np.zeros((0, 3), np.int32))
            about = {"documents": 7, "labels": 9, "unseen_labels": 0.25}
            out.json("metrics.json", {"validation": measured, "of": {"validation": about}})
            out.json("report.json", {"calibration": []})

    fakes = FAKES | {"evaluate": stage(untested, "evaluate")}
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=fakes.__getitem__))
    words = ("--dataset", "demo", "--root", str(tmp_path), "--device", "cpu", *SMALL)
    assert main(monkeypatch, "train", *words) == 0
    assert "test" not in capsys.readouterr().out
    assert main(monkeypatch, "evaluate", *words) == code
    assert shown in "".join(capsys.readouterr())
    assert main(monkeypatch, "evaluate", "--metric", "P@1", *words) == 2
    assert "no test documents to measure" in capsys.readouterr().err


def test_evaluate_measures_anew_what_is_not_current(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dataset", "demo", "--root", str(tmp_path), "--device", "cpu", *SMALL)
    assert main(monkeypatch, "train", *words) == 0
    (tmp_path / "artifacts" / "demo" / "cycle1" / "evaluation" / "manifest.json").unlink()
    capsys.readouterr()
    assert main(monkeypatch, "evaluate", "-m", "P@1", *words) == 0
    shown = capsys.readouterr()
    assert shown.out == "P@1 33.25\n"
    assert "no output yet" in shown.err


def test_stages_one_by_one_do_what_train_does(fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("a", "b"):
        words = ("--dataset", "demo", "--root", str(tmp_path / root), "--device", "cpu", *SMALL)
        if root == "a":
            assert main(monkeypatch, "train", *words) == 0
            continue
        for name in ("prepare", "init-clf"):
            assert main(monkeypatch, name, *words) == 0
        for name in ("embed-labels", "shortlist", "train-clf"):
            assert main(monkeypatch, name, *words, "--cycle", "1") == 0
        assert main(monkeypatch, "embed-labels", *words, "--cycle", "2") == 0
        for name in ("combine", "finish"):
            assert main(monkeypatch, name, *words, "--cycle", "1") == 0
        assert main(monkeypatch, "embed-labels", *words, "--cycle", "3") == 0
        assert main(monkeypatch, "evaluate", *words, "--cycle", "1") == 0

    def manifests(root: str) -> dict[str, bytes]:
        folder = tmp_path / root / "artifacts"
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def identities(root: str) -> dict[str, object]:
        records = (tmp_path / root / "runs" / "demo").glob("*.json")
        return {p.name: json.loads(p.read_text()).get("identity") for p in records}

    assert manifests("a") == manifests("b")
    assert identities("a") == identities("b")


def test_plan_says_what_would_run_and_why(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dataset", "demo", "--root", str(tmp_path), *SMALL)
    assert main(monkeypatch, "plan", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(maxsplit=2) == ["prepare@demo", "run", "no output yet"]
    assert lines[1].split(maxsplit=2) == ["init-clf@demo", "run", "prepare runs first"]
    assert main(monkeypatch, "train", *words, "--device", "cpu") == 0
    capsys.readouterr()
    assert main(monkeypatch, "plan", *words, "--set", "clf.epochs=9") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[1] == "run"] == [
        "train-clf@demo-1",
        "embed-labels@demo-2",
        "combine@demo-1",
        "finish@demo-1",
        "embed-labels@demo-3",
        "evaluate@demo-1",
    ]


def test_the_table_gains_and_loses_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    for name in ("default", "authors"):
        (tmp_path / "pipelines" / f"{name}.yaml").write_text((PROJECT / "pipelines" / f"{name}.yaml").read_text())
    assert main(monkeypatch, "plan", "--add", "demo", "--write") == 0
    assert main(monkeypatch, "plan", "--add", "eurlex", "--profile", "authors", "--write") == 0
    table = (tmp_path / "params.yaml").read_text()
    assert "demo-1:" in table
    assert "eurlex-authors-1:" in table
    assert main(monkeypatch, "plan", "--add", "wiki10") == 0
    assert "wiki10" not in (tmp_path / "params.yaml").read_text()
    assert main(monkeypatch, "plan", "--remove", "eurlex", "--profile", "authors", "--write") == 0
    assert "eurlex" not in (tmp_path / "params.yaml").read_text()
    capsys.readouterr()
    assert main(monkeypatch, "plan", "--add", "nonsense", "--write") == 2
    assert "no dataset 'nonsense'" in capsys.readouterr().err


def test_a_dataset_is_added_from_data_here_whatever_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PIPELINES, tmp_path / "pipelines")
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "data" / "mine" / "train.csv").write_text("text,labels\nred apple,fruit\n")
    assert main(monkeypatch, "plan", "--add", "mine", "--root", str(tmp_path / "elsewhere")) == 0
    assert "mine: 2 cycles" in capsys.readouterr().out


def test_the_table_takes_no_pipeline_whose_base_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mine.yaml").write_text("base: default\n")
    words = ("plan", "--add", "demo", "--profile", "mine")
    assert main(monkeypatch, *words) == 2
    assert "pipelines/ here has no default.yaml" in capsys.readouterr().err
    shutil.copy(PIPELINES / "default.yaml", tmp_path / "pipelines")
    assert main(monkeypatch, *words) == 0


def test_a_users_own_pipeline_with_a_base_is_a_profile_and_its_settings_are_written(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mine.yaml").write_text("base: default\ncycles: 1\nclf: {epochs: 3}\n")
    written = {}
    for command, root in (("settings", "a"), ("train", "b")):
        words = ("--dataset", "demo", "--profile", "mine", "--root", root)
        assert main(monkeypatch, command, *words) == 0
        written[command] = (tmp_path / root / "runs" / "demo-mine" / "settings.yaml").read_text()
    assert written["settings"] == written["train"]
    settings, default = yaml.safe_load(written["train"]), yaml.safe_load((PIPELINES / "default.yaml").read_text())
    assert settings == default | {"cycles": 1, "clf": default["clf"] | {"epochs": 3}}


def test_a_published_setting_that_is_retired_is_left_out_where_it_is_what_is_used(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--root", str(tmp_path))
    assert main(monkeypatch, "train", "--dataset", "demo", "--device", "cpu", *place, *SMALL) == 0
    path = tmp_path / "snapshots" / "demo" / "snapshot.json"
    record = json.loads(path.read_text())
    for value, code in ((1.0, 0), (0.5, 2)):
        clf = record["settings"]["clf"] | {"residual_rate": value}
        path.write_text(json.dumps(record | {"settings": record["settings"] | {"clf": clf}}))
        assert main(monkeypatch, "evaluate", "-m", "P@1", *place) == code
    assert "clf.residual_rate: no such key" in capsys.readouterr().err


def test_an_option_without_effect_warns(
    fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dataset", "demo", "--root", str(tmp_path), "--set", "shortlist.backend=exact", "--set", "shortlist.M=9")
    assert main(monkeypatch, "plan", *words) == 0
    assert "warning: shortlist.M has no effect" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = xmlcli("train", "--dataset", "demo", "--root", str(tmp_path / "file"))
    assert (found.returncode, len(found.stderr.splitlines())) == (2, 1)
    assert str(tmp_path / "file") in found.stderr


def test_interrupting_is_one_line_and_exit_code_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(job: Job) -> None:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores SIGINT
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)

    fakes = FAKES | {"init-clf": stage(interrupted, "seed", "model")}
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=fakes.__getitem__))
    assert main(monkeypatch, "train", "--dataset", "demo", "--root", str(tmp_path), "--device", "cpu") == 130
    assert capsys.readouterr().err.splitlines()[2:] == ["interrupted; the same command goes on from here"]
