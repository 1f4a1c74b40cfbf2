"""What data names never reaches the terminal as escapes or markup."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.command_line import main

from xmlcli.cli import display as displays
from xmlcli.cli.predict import _print_table
from xmlcli.cli.say import say, tell
from xmlcli.serving.answers import CSV, TSV, AnswerForm, Ranked, make_answers

HOSTILE = "\x1b]0;title\x07 \x1b[31mred\x9b2J\u202egnp [/x] [bold]"
FOLDER = HOSTILE.replace("/", "")
CONTROL = set(map(chr, [*range(10), *range(11, 32), *range(127, 160)])) | set("\u202e\ud800\u2028")


def answering(labels: Any) -> Any:
    """A model of one answer."""
    known = SimpleNamespace(nnz=1)
    return SimpleNamespace(predict=lambda *_, **__: labels, features=lambda _: known, gives_probabilities=True)


def safe(text: str) -> bool:
    return not CONTROL & set(text)


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--dataset", FOLDER),
        ("evaluate", "--dataset", f"/{FOLDER}"),
        ("train", "--dataset", "demo", "--set", f"clf.{HOSTILE}=1"),
        ("train", "--dataset", "demo", "--set", HOSTILE),
        ("train", "--dataset", "demo", "--profile", HOSTILE),
        ("convert", f"/{HOSTILE}", "/x", "--to", HOSTILE),
        ("fetch", "eurlex", "--url", HOSTILE),
        ("predict", "--model", f"/{HOSTILE}", "--text", "x"),
        (HOSTILE,),
        ("train", f"--{HOSTILE}"),
    ],
    ids=lambda words: words[0][:10],
)
def test_errors_show_no_escapes(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    more = ("--root", str(tmp_path)) if words[0] in ("evaluate", "train", "convert", "fetch") else ()
    assert main(monkeypatch, *words, *more) == 2
    told = capfd.readouterr()
    assert safe(told.err + told.out)
    assert "\\x1b" in told.err


@pytest.mark.parametrize("show", [say, tell])
def test_a_line_of_a_result_or_beside_it_shows_no_escapes(
    show: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    show(HOSTILE)
    shown = "".join(capfd.readouterr())
    assert safe(shown)
    assert "\\x1b" in shown
    assert shown.count("\n") == 1


def test_datasets_are_listed_without_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / FOLDER
    folder.mkdir(parents=True)
    (tmp_path / "data" / os.fsdecode(b"latin\xe9\x7f")).mkdir()
    for words in (), ("--json",):
        assert main(monkeypatch, "datasets", "--root", str(tmp_path), *words) == 0
        assert safe(told := capfd.readouterr().out)
        assert "udce9" in told


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(monkeypatch, "--version") == 0
    model = answering([[("\u4e2d", 0.5)]])
    _print_table(model, "x", 1, 0.0)
    terminal.flush()
    assert rb"\u4e2d" in terminal.buffer.getvalue()  # type: ignore[attr-defined]


def test_a_bar_takes_what_it_names_for_no_markup(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    bar = displays.Display(live=True)
    for name in ("[/x]", "[red]", HOSTILE):
        bar.progress(f"unpack {name}", 1, 2)
        assert bar._bars is not None
        bar._bars.refresh()
    bar.close()
    assert "\x1b]0" not in capfd.readouterr().err


def test_names_of_labels_are_shown_without_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    model = answering([[(HOSTILE, 0.5)]])
    _print_table(model, "x", 1, 0.0)
    told = capsys.readouterr().out
    assert safe(told)
    assert "\\x1b" in told
    ranked = Ranked(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32), {}, [{"id": HOSTILE}])
    for form in (TSV, CSV):
        told = make_answers(AnswerForm(form), [HOSTILE]).block(ranked).decode()
        assert safe(told.replace("\t", "").replace("\r\n", ""))
    lines = make_answers(AnswerForm(TSV), [HOSTILE]).block(ranked).decode()
    assert safe(lines.replace("\t", ""))
    assert "[/x]" in lines
