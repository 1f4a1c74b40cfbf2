"""The drivers find what they are for: planted crashes, tracebacks, hangs, memory, leaks and wrong bytes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from reliability.driving import Ended, Findings, copy_tree, hashes, leftovers
from support.paths import PROJECT

PLANTED = """
import os, signal, sys, time
sys.path[:0] = [{project!r}, {drivers!r}]
import fuzz
from driving import Findings
from readers import Reader
fuzz.HANG_SECONDS, fuzz.FREE_BYTES = 0.2, 40 << 20

def hang(folder):
    while True:
        pass

def some(folder):
    text = (folder / "a").read_bytes()
    if len(text) % 2:
        raise ValueError("odd")

READERS = {{
    "sound": lambda folder: None,
    "crash": lambda folder: os.kill(os.getpid(), signal.SIGSEGV),
    "traceback": lambda folder: {{}}["x"],
    "hang": hang,
    "stuck": lambda folder: time.sleep(9),
    "memory": lambda folder: b"x" * (90 << 20),
    "some": some,
}}
findings = Findings("fuzz", 1)
for name, read in READERS.items():
    fuzz._STUCK_SECONDS = 2.0 if name == "stuck" else 200.0  # the machine may be busy
    fuzz.fuzz(name, Reader([{{"a": b"1 2 3"}}], read), 40 if name == "some" else 2, 1, findings)
sys.exit(findings.finish())
"""


def test_fuzz_counts_what_goes_wrong_in_a_child_and_goes_on() -> None:
    script = PLANTED.format(project=str(PROJECT), drivers=str(PROJECT / "tests" / "reliability"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", done.stdout, re.MULTILINE))
    assert rows["sound"] == "2 | 0 | 0"
    assert [rows[name] for name in ("crash", "traceback", "hang", "stuck", "memory")] == ["2 | 0 | 2"] * 5
    inputs, _, found = rows["some"].split(" | ")
    assert inputs == "40"
    assert 5 < int(found) < 35
    for said in ("crash: SIGSEGV", "KeyError: 'x'", "hang: more than", "stuck: ", "memory: ", "--only 'crash/1'"):
        assert said in done.stderr


@pytest.mark.parametrize(
    ("ended", "problem"),
    [
        (Ended(["plan"], 0, "", "", 0.1), None),
        (Ended(["plan"], 2, "", "xmlcli: no dataset\n", 0.1), None),
        (Ended(["plan"], -11, "", "", 0.1), "crash: SIGSEGV"),
        (Ended(["plan"], 1, "", "Traceback (most recent call last)\nValueError: x", 0.1), "traceback: ValueError: x"),
        (Ended(["plan"], 2, "", "no word", 0.1), "an error without its line"),
        (Ended(["plan"], 3, "", "xmlcli: x", 0.1), "exit code 3"),
        (Ended(["predict"], 0, "", "", 9.0), "hang: 9.0 s"),
        (Ended(["train"], 0, "", "", 9.0), None),
    ],
)
def test_how_a_command_ended_is_judged(ended: Ended, problem: str | None) -> None:
    assert (ended.problem(0, 2) or "")[: len(problem or "x")] == (problem or "")


def test_a_copied_tree_has_the_same_times_and_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_text("1")
    (tmp_path / "a" / "b" / "other").hardlink_to(tmp_path / "a" / "one")
    (tmp_path / "a" / "b" / ".x.tmp").write_text("")
    copy_tree(tmp_path / "a", tmp_path / "c")
    assert hashes(tmp_path / "a", "b", ".") == hashes(tmp_path / "c", "b", ".")
    assert (tmp_path / "c" / "one").samefile(tmp_path / "c" / "b" / "other")
    assert not (tmp_path / "c" / "one").samefile(tmp_path / "a" / "one")
    assert (tmp_path / "c" / "one").stat().st_mtime_ns == (tmp_path / "a" / "one").stat().st_mtime_ns
    assert leftovers(tmp_path / "c") == ["b/.x.tmp"]


def test_a_finding_is_told_with_the_way_to_repeat_it(capsys: pytest.CaptureFixture[str]) -> None:
    findings = Findings("crash", 7)
    findings.count("demo", "kills", 3)
    assert findings.finish() == 0
    findings.add("demo", "demo/moment/2", "other bytes")
    assert findings.finish() == 1
    told = capsys.readouterr()
    assert "make crash ARGS=\"--seed 7 --only 'demo/moment/2'\"" in told.err
    assert "| demo | 3 | 1 |" in told.out
