"""What is shown while a command works: on a terminal at once, in a log a line a call, and as loud as is asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from support.command_line import main
from support.fake_stages import FAKES
from support.paths import PROJECT

from xmlcli.cli.display import Display, display
from xmlcli.config.load import load_config
from xmlcli.config.pipeline_files import shipped_default
from xmlcli.runs import runner
from xmlcli.runs.plan import plan
from xmlcli.stages.call import Call, RunId

Patch, Capture = pytest.MonkeyPatch, pytest.CaptureFixture[str]
CALL: Call = plan(load_config(shipped_default()), RunId("demo"))[0]


@pytest.fixture
def fake(monkeypatch: Patch) -> None:
    monkeypatch.setattr(runner, "Session", partial(runner.Session, registry=FAKES.__getitem__))


def train(monkeypatch: Patch, root: Path, *words: str, before: tuple[str, ...] = ()) -> int:
    place = ("--dataset", "demo", "--root", str(root), "--device", "cpu", "--set", "cycles=1")
    return main(monkeypatch, *before, "train", *place, *words)


def test_a_first_run_gives_no_reasons_and_a_later_one_says_why(
    fake: None, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    assert train(monkeypatch, tmp_path) == 0
    said = capsys.readouterr().err
    assert "no output yet" not in said
    assert "prepare runs first" not in said
    assert train(monkeypatch, tmp_path, "--set", "clf.epochs=9", "--replace") == 0
    assert "clf.epochs is 9, was 2" in capsys.readouterr().err


def test_a_stage_is_shown_when_it_begins_and_its_bar_ends_with_the_work(monkeypatch: Patch, capfd: Capture) -> None:
    monkeypatch.setenv("TERM", "xterm")
    shown = Display(live=True)
    try:
        shown.wait("loading")
        assert shown._bars is not None
        (task,) = shown._bars.tasks
        assert (task.description, task.total) == ("loading", None)
        shown.on_start(CALL, "no output yet")
        assert task.description == "prepare"
        shown.progress("read", 1, 2)
        assert (task.description, task.completed, task.total) == ("prepare: read", 1, 2)
        shown.progress("read", 2, 2)
        assert (task.description, task.total) == ("prepare", None), "no bar stands at 100 %"
        for _ in range(2):
            shown.emit(logging.makeLogRecord({"name": "xmlcli.kernels.compiled", "msg": "compiling"}))
            assert task.description == "prepare: compiling"
            shown.progress("read", 1, 2)
            assert task.description == "prepare: read"
    finally:
        shown.close()


def test_compiling_is_said_once(monkeypatch: Patch, capfd: Capture) -> None:
    logging.getLogger("xmlcli").setLevel(logging.INFO)
    logger = logging.getLogger("xmlcli.kernels.compiled")
    with display() as shown:
        for _ in range(3):
            logger.info("compiling, once per installation")
        assert shown._live is False
    assert capfd.readouterr().err.split("\n") == [" " * 26 + "compiling, once per installation", ""]


def test_a_kernel_that_is_compiled_is_logged_and_one_that_is_read_is_not(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "import logging; logging.basicConfig(level='INFO', format='%(name)s: %(message)s')\n"
        "from xmlcli.kernels.compiled import kernel\n"
        "@kernel\ndef double(x): return 2 * x\nassert double(2) == 4\n"
    )
    said = [
        subprocess.run(
            [sys.executable, str(tmp_path / "one.py")],
            env={"PYTHONPATH": str(PROJECT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True, text=True, check=True,
        ).stderr
        for _ in range(2)
    ]  # fmt: skip
    assert said == ["xmlcli.kernels.compiled: compiling, once per installation\n", ""]


def test_quiet_says_results_alone_and_verbose_says_what_is_logged(
    fake: None, tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    for place in ("before", "behind"):
        words = ("--quiet",)
        root = tmp_path / place
        assert (
            train(monkeypatch, root, *(() if place == "before" else words), before=words if place == "before" else ())
            == 0
        )
        shown = capsys.readouterr()
        assert shown.err == ""
        assert "33.25" in shown.out
    assert train(monkeypatch, tmp_path / "b", before=("-v",)) == 0
    assert "xmlcli.runs.runner: train-clf-1 begins: " in capsys.readouterr().err
    assert main(monkeypatch, "-q", "train") == 2
    assert "no dataset named" in capsys.readouterr().err
    assert main(monkeypatch, "train") == 2, "loud again"


def test_the_log_says_what_the_progress_shows(
    fake: None, tmp_path: Path, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "xmlcli"):
        assert train(monkeypatch, tmp_path) == 0
    logged = [record.getMessage() for record in caplog.records if record.name == "xmlcli.runs.runner"]
    assert logged[0].startswith("prepare begins: no output yet")
    assert logged[1].startswith("prepare has taken ")


def test_no_color_is_respected(tmp_path: Path, monkeypatch: Patch) -> None:
    import pty

    for value, colored in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        parent, child = pty.openpty()
        command = [sys.executable, "-m", "xmlcli", "train", "--root", str(tmp_path)]
        subprocess.run(command, cwd=PROJECT, stderr=child, check=False)
        import os

        os.close(child)
        assert (b"\x1b[31m" in os.read(parent, 10_000)) == colored
        os.close(parent)


def test_without_a_command_help_is_shown(monkeypatch: Patch, capsys: Capture) -> None:
    main(monkeypatch)
    shown = "".join(capsys.readouterr())
    for word in ("Usage", "train", "Stages of the pipeline", "--install-completion", "--quiet"):
        assert word in shown


def test_nmslib_says_nothing_of_how_it_was_compiled() -> None:
    code = (
        "import numpy as np\nfrom xmlcli.shortlists.hnsw_index import HnswIndex\n"
        "Z = np.eye(3, dtype=np.float32)\n"
        "HnswIndex(Z, bonus=np.zeros(3, np.float32), searchable=np.ones(3, bool), M=4, ef_construction=9, ef_search=9)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
