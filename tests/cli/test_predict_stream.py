"""Documents from a pipe, bad ones among them, and ends of all kinds."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from support import small_model
from support.command_line import main
from support.small_model import PROJECT, texts_and_labels

from xmlcli.cli import answers_out
from xmlcli.cli.answers_out import Stopped, stopping
from xmlcli.serving import answers

TEXTS = texts_and_labels(300, 5)[0]
OPERA = {"labels": ["opera"]}


class Pipe(io.RawIOBase):
    """Standard input that arrives so many bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        self._content, self._size = io.BytesIO(content), size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        chunk = self._content.read(min(self._size, len(buffer)))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def predict(monkeypatch: pytest.MonkeyPatch, content: bytes, *words: str, size: int = 1 << 20) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe(content, size))))
    return main(monkeypatch, "predict", "--model", str(small_model.folder()), "--input", "-", *words)


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_scores_do_not_depend_on_how_a_pipe_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after each byte, amid lines, and after one, seven and all documents; equal to the last bit."""
    monkeypatch.setattr(answers, "_DIGITS", 10)
    content, target, found = "".join(f"{text:<60}\n" for text in TEXTS).encode(), tmp_path / "found.jsonl", set()
    for size in (1, 61, 7 * 61, 100, 1 << 20):
        assert predict(monkeypatch, content, "-o", str(target), "-k", "9", size=size) == 0
        found.add(target.read_bytes())
    assert len(found) == 1
    assert [record["document"] for record in records(target)] == list(range(1, 301))


BAD_LINES = {
    b'{"text": "opera0 opera1"}': OPERA,
    b"{": {"error": "line 2: expected a JSON object"},
    b'{"text": 5}': {"error": "line 3: "},
    b'{"other": "opera"}': {"error": "line 4: "},
    b'"opera0 opera1"': OPERA,
    b"[1]": {"error": "line 6: expected a JSON object or text"},
    b"": {"error": "line 7: "},
    b'{"text": "\xff"}': {"error": "line 8: expected UTF-8 text, found byte 0xff"},
    b"[" * 100_000: {"error": "line 9: expected a JSON object"},
    b'{"text": "\\ud800"}': {"error": "line 10: "},
    b"\x00\x1b": {"error": "line 11: "},
    b'{"text": "opera0 opera1" }': OPERA,
}


@pytest.mark.parametrize("size", [1 << 20, 5])
def test_a_bad_line_is_answered_by_an_error_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], size: int
) -> None:
    target = tmp_path / "found.jsonl"
    assert predict(monkeypatch, b"\n".join(BAD_LINES) + b"\n", "-o", str(target), "-k", "1", size=size) == 0
    found = records(target)
    assert [record["document"] for record in found] == list(range(1, len(BAD_LINES) + 1))
    for record, wanted in zip(found, BAD_LINES.values(), strict=True):
        assert ("error" in record) == ("error" in wanted)
        assert record.get("labels") == wanted.get("labels")
        assert str(record.get("error", "")).startswith(str(wanted.get("error", "")))
        assert len(str(record.get("error", ""))) < 300
    assert "12 documents, 9 of them unreadable" in capfd.readouterr().err


def test_strict_stops_at_the_first_bad_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert predict(monkeypatch, b"\n".join(BAD_LINES), "-o", str(tmp_path / "x"), "--strict") == 2
    assert "standard input: 1 problem; line 2: expected a JSON object" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_where_a_format_has_no_place_for_errors_they_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    content = b"opera0 opera1\n\xff\n" * 2
    assert predict(monkeypatch, content, "-o", str(tmp_path / "x.tsv"), "-k", "1") == 0
    assert [line.split("\t")[:2] for line in (tmp_path / "x.tsv").read_text().splitlines()[1:]] == [
        ["1", "opera"], ["3", "opera"],
    ]  # fmt: skip
    assert "document 4: line 4: expected UTF-8 text" in capfd.readouterr().err
    assert predict(monkeypatch, content, "-o", str(tmp_path / "x.npz"), "-k", "1") == 0
    assert np.diff(sp.load_npz(tmp_path / "x.npz").indptr).tolist() == [1, 0, 1, 0]
    assert predict(monkeypatch, b"", "-o", str(tmp_path / "x.tsv")) == 0
    assert (tmp_path / "x.tsv").read_text() == "document\tlabel\tscore\n"


def test_a_matrix_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict(monkeypatch, b"opera0\n", "-o", str(tmp_path / "scores.bin"), "--format", "npz") == 0
    with (tmp_path / "scores.bin").open("rb") as file:
        assert sp.load_npz(file).shape == (1, 10)


def test_closed_standard_streams_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", "--model", str(small_model.folder()))
    monkeypatch.setattr(sys, "stdin", None)
    assert main(monkeypatch, *words, "--input", "-") == 2
    assert capfd.readouterr().err.startswith("xmlcli: standard input is closed")
    monkeypatch.setattr(sys, "stdout", None)
    for what in (("--input", "-"), ("--text", "opera0")):
        assert main(monkeypatch, *words, *what) == 2
        assert capfd.readouterr().err.startswith("xmlcli: standard output is closed")


def test_standard_input_that_cannot_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_pipe: Pipe, _buffer: bytearray) -> int:
        raise IsADirectoryError(21, "Is a directory")

    monkeypatch.setattr(Pipe, "readinto", fail)
    assert predict(monkeypatch, b"") == 2
    assert "standard input cannot be read; found: Is a directory" in capfd.readouterr().err


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("xmlcli.datasets.documents._LONGEST", 1 << 20)
    assert predict(monkeypatch, b"a" * (1 << 21), size=1 << 16) == 2
    assert "a line is too long; expected: at most 1 MiB" in capfd.readouterr().err


def test_a_full_disk_is_told_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert predict(monkeypatch, b"opera0\n", "-o", "/dev/full") == 2
    assert capfd.readouterr().err == "xmlcli: /dev/full: No space left on device\n"
    target, before = tmp_path / "found.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    target.write_text("as it was")
    for name in ("found.jsonl", "found.npz"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            assert predict(monkeypatch, b"opera0\n" * 99, "-o", str(tmp_path / name)) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert f"{name}: File too large" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["found.jsonl"]
    assert target.read_text() == "as it was"


def test_a_matrix_never_takes_the_place_of_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    assert predict(monkeypatch, b"opera0\n", "-o", str(pipe)) == 2
    assert "a matrix is written to a plain file" in capfd.readouterr().err
    assert stat.S_ISFIFO(pipe.stat().st_mode)


COMMAND = [sys.executable, "-m", "xmlcli", "predict", "--model"]


@pytest.mark.parametrize("what", [("--input", "-"), ("--text", "opera0")])
def test_a_reader_that_has_gone_ends_it_with_code_1_and_no_word(what: tuple[str, str]) -> None:
    command = [*COMMAND, str(small_model.folder()), *what]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, said = process.communicate(b"opera0\n")
    assert (process.returncode, said) == (1, b"")


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_it_waits_leaves_the_answers_so_far(tmp_path: Path, how: signal.Signals, code: int) -> None:
    target = tmp_path / "found.jsonl"
    command = [*COMMAND, str(small_model.folder()), "--input", "-", "--output", str(target)]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(b"opera0 opera1\n")
        process.stdin.flush()
        until = time.monotonic() + 30
        while not any(path.stat().st_size for path in tmp_path.iterdir()) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(how)
        _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert said.count(b"\n") == 1
    assert b"after 1 documents" in said
    assert [path.name for path in tmp_path.iterdir()] == ["found.jsonl"]
    assert [record["document"] for record in records(target)] == [1]


def test_a_write_to_a_pipe_that_nobody_reads_ends_soon_after_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_out, "_PATIENCE", 0.2)
    reading, writing = os.pipe()
    with stopping() as signals, pytest.raises(Stopped) as stopped:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGUSR1, lambda *_: signals.on_signal(signal.SIGTERM, None))
        child = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.2; kill -USR1 {os.getpid()}"])
        signals.write(writing, b"x" * (1 << 22), "standard output")
    child.wait()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert stopped.value.exit_code == 143
    os.close(reading)
    os.close(writing)


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_threshold_holds_for_one_text_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", "--model", str(small_model.folder()), "--text", "storms0 storms1 storms2", "-k", "10")
    assert main(monkeypatch, *words) == 0
    everything = capsys.readouterr().out
    assert "opera" in everything
    assert main(monkeypatch, *words, "--threshold", "0.5") == 0
    likely = capsys.readouterr().out
    assert "storms" in likely
    assert "opera" not in likely
