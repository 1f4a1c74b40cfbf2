"""Predicting from the command line: what comes in, what goes out, and what a stop leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from support import small_model
from support.command_line import main
from support.small_model import PROJECT, texts_and_labels

from xmlcli.config.resolved import overridden
from xmlcli.datasets.documents import BLOCK
from xmlcli.runs.snapshot import published
from xmlcli.runs.trained_run import TrainedRun
from xmlcli.serving.model import Model, load
from xmlcli.storage.workspace import Workspace

TEXTS = texts_and_labels(40, 5)[0]


def test_lines_tsv_and_matrix_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = tmp_path / "documents.txt"
    documents.write_text("\n".join([*TEXTS, "", "unheard"]) + "\n")
    model, files = load(small_model.folder()), [tmp_path / f"found.{form}" for form in ("jsonl", "tsv", "npz")]
    for file in files:
        words = (
            "--model",
            str(small_model.folder()),
            "-i",
            str(documents),
            "-o",
            str(file),
            "-k",
            "3",
            "--threshold",
            "0.1",
        )
        assert main(monkeypatch, "predict", *words) == 0
    expected = model.predict([*TEXTS, "", "unheard"], 3, threshold=0.1)
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [line["document"] for line in lines] == list(range(1, len(expected) + 1))
    assert [line["labels"] for line in lines] == [[name for name, _ in found] for found in expected]
    assert np.allclose(
        [p for line in lines for p in line["scores"]], [p for found in expected for _, p in found], atol=1e-6
    )
    rows = [row.split("\t") for row in files[1].read_text().splitlines()]
    assert rows[0] == ["document", "label", "score"]
    assert [(int(n), name) for n, name, _ in rows[1:]] == [(i + 1, n) for i, f in enumerate(expected) for n, _ in f]
    matrix = sp.load_npz(files[2])
    assert matrix.shape == (42, 10)
    assert matrix.nnz == sum(map(len, expected))
    assert matrix[0, model.label_names.index(expected[0][0][0])] == pytest.approx(expected[0][0][1])


def test_one_text_prints_a_table_from_the_last_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--root", str(small_model.run()), "--text", "storms0 storms1 storms2", "-k", "2")
    assert main(monkeypatch, "predict", *words) == 0
    shown = capsys.readouterr().out
    assert "probability" in shown
    assert "storms" in shown


def test_a_dataset_by_name_predicts_with_the_settings_it_was_trained_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # one cycle; the pipeline file has two
    place = ("--root", str(small_model.run()), "--dataset", str(small_model.run() / "data" / "subjects"))
    assert main(monkeypatch, "predict", *place, "--text", "storms0 storms1 storms2", "-k", "1") == 0
    assert "storms" in capsys.readouterr().out
    assert main(monkeypatch, "predict", *place, "--text", "storms0", "--set", "cycles=1", "--text-column", "body") == 0


@pytest.mark.parametrize("setting", ["cycles=2", "seed=2", "evaluate.voters=null", "model.activation=relu"])
def test_settings_other_than_those_of_the_training_are_refused_and_name_the_command(
    setting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--root", str(small_model.run()), "--dataset", str(small_model.run() / "data" / "subjects"))
    assert main(monkeypatch, "predict", *place, "--text", "storms0", "--set", setting) == 2
    said = capsys.readouterr().err
    assert f"expected: {setting.replace('=', ' = ').replace('relu', chr(34) + 'relu' + chr(34))}" in said
    assert f"xmlcli train --dataset {small_model.run() / 'data' / 'subjects'} --set clf.min_documents=1000 " in said


@pytest.mark.parametrize("voters", [None, 3])
def test_documents_vote_as_they_did_when_the_combination_was_fitted(voters: int | None) -> None:
    text = small_model.works_in_volumes(1, 7)[0][0]
    training = published(Workspace(small_model.run("works"), "works"))
    other = replace(training, config=overridden(training.config, {"evaluate.voters": voters}))
    answers = [TrainedRun(one).model().predict([text]) for one in (training, other)]
    assert answers[0] == answers[1]


def test_predicting_loads_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys\nfrom xmlcli import cli\n"
        f"sys.argv = ['xmlcli', 'predict', '--model', {str(small_model.folder())!r}, '--text', 'ships0']\n"
        "try: cli.main()\n"
        "finally: print([name for name in ('torch', 'sklearn', 'dvc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


def test_brackets_in_a_label_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Model, "predict", lambda *args, **options: [[("[sic] a [/b]", 0.5)]])
    assert main(monkeypatch, "predict", "--model", str(small_model.folder()), "--text", "a") == 0
    assert "[sic] a [/b]" in capsys.readouterr().out


def test_a_pipe_is_answered_line_by_line_and_interrupts_leave_whole_lines() -> None:
    command = [sys.executable, "-m", "xmlcli", "predict", "--model", str(small_model.folder()), "--input", "-"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(2):
            process.stdin.write(b"opera0 opera1\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["labels"][0] == "opera"
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=20)
    assert (process.returncode, rest) == (130, b"")
    assert b"interrupted" in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stop_leaves_complete_lines_or_the_file_as_it_was(tmp_path: Path, how: signal.Signals) -> None:
    documents, found = tmp_path / "documents.txt", tmp_path / "found.jsonl"
    documents.write_text("\n".join(TEXTS * 10_000))
    found.write_text("as it was\n")
    words = ["--model", str(small_model.folder()), "--input", str(documents), "--output", str(found)]
    with subprocess.Popen(
        [sys.executable, "-m", "xmlcli", "predict", *words], cwd=PROJECT, stderr=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 30
        while not any(path.stat().st_size for path in tmp_path.glob(".found.*")) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(how)
        process.wait(timeout=20)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}[how]
    content = found.read_text()
    if how == signal.SIGKILL:
        assert content == "as it was\n"
        return
    assert not list(tmp_path.glob(".found.*"))
    assert content.endswith("\n")
    lines = [json.loads(line)["document"] for line in content.splitlines()]
    assert 0 < len(lines) < 400_000
    assert lines == list(range(1, len(lines) + 1))


def test_a_pipe_with_a_name_is_written_to_as_documents_come(tmp_path: Path) -> None:
    (tmp_path / "documents.txt").write_text("opera0 opera1\nbirds0 birds1\n")
    os.mkfifo(tmp_path / "answers.jsonl")
    words = ["--input", str(tmp_path / "documents.txt"), "--output", str(tmp_path / "answers.jsonl")]
    command = [sys.executable, "-m", "xmlcli", "predict", "--model", str(small_model.folder()), *words]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL) as process:
        lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert process.returncode == 0
    assert [json.loads(line)["labels"][0] for line in lines] == ["opera", "birds"]


def test_a_bad_document_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    documents, found = tmp_path / "documents.jsonl", tmp_path / "found.tsv"
    documents.write_text('{"text": "opera0"}\n' * (2 * BLOCK) + "{\n")
    found.write_text("as it was\n")
    words = ["--input", str(documents), "--output", str(found)]
    command = [sys.executable, "-m", "xmlcli", "predict", "--model", str(small_model.folder()), *words]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == 2
    assert found.read_text() == "as it was\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["documents.jsonl", "found.tsv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs either --text or --input"),
        (("--input", "-", "--format", "npz"), "cannot be written to standard output"),
        (("--input", "-", "--format", "xls"), "no such format"),
        (("--input", "absent.txt"), "no documents at absent.txt"),
        (("--text", "a", "--dataset", "demo"), "--model beside --dataset"),
    ],
)
def test_wrong_uses_are_told(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "predict", "--model", str(small_model.folder()), *words) == 2
    assert said in capfd.readouterr().err
