"""A process that may not have the memory it needs says so in one line, wherever memory runs out."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import PROJECT


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("mebibytes", [160, 400])  # while NumPy, and while torch is loaded
def test_too_little_address_space_is_one_line(mebibytes: int, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))

    words = [sys.executable, "-m", "xmlcli", "train", "--dataset", "demo", "--root", str(tmp_path)]
    done = subprocess.run(words, cwd=PROJECT, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "memory ran out" in done.stderr
