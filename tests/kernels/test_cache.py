"""Compiled kernels of an installation that cannot be written: kept in another folder, or compiled anew."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config
from support.paths import PROJECT

from xmlcli.kernels import cache

Patch = pytest.MonkeyPatch


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: Patch) -> Path:
    """An installation with a compiled kernel, whose folder cannot be written."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "kernel-1.py311.nbi").write_text("index")
    writable = cache._writable
    monkeypatch.setattr(cache, "_OWN", own)
    monkeypatch.setattr(cache, "_writable", lambda folder: folder != own and writable(folder))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def kept(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*.nbi")]


def test_the_users_folder_gets_what_is_compiled(installed: Path) -> None:
    assert cache.prepare_cache()
    assert Path(config.CACHE_DIR) == installed / "home" / "xmlcli" / "kernels"
    assert kept(installed / "home") == ["index"]
    (installed / "own" / "kernel-1.py311.nbi").write_text("later")
    config.CACHE_DIR = ""
    assert cache.prepare_cache()
    assert kept(installed / "home") == ["index"], "what is kept there is numba's from then on"
    assert not list((installed / "home").rglob("tmp*"))


def test_without_that_a_temporary_folder_of_this_user_alone_is_used(installed: Path) -> None:
    (installed / "home").write_text("no folder")
    assert cache.prepare_cache()
    assert Path(config.CACHE_DIR) == installed / f"xmlcli-kernels-{os.getuid()}"
    assert Path(config.CACHE_DIR).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_is_not_believed(installed: Path, caplog: pytest.LogCaptureFixture) -> None:
    (installed / "home").write_text("no folder")
    shared = installed / f"xmlcli-kernels-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    with caplog.at_level(logging.WARNING, "xmlcli"):
        assert not cache.prepare_cache()
    assert "set NUMBA_CACHE_DIR" in caplog.text
    assert not config.CACHE_DIR


def test_a_folder_that_can_be_written_is_left_alone(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "chosen"))
    assert cache.prepare_cache()
    assert Path(config.CACHE_DIR) == tmp_path / "chosen"


PROCESS = """
import sys
import numba.core.caching as caching
import numpy as np
import scipy.sparse as sp
from pathlib import Path
from xmlcli.kernels import cache

cache._OWN = Path(sys.argv[1])  # no folder, and none can be made there
in_tree = getattr(caching, "InTreeCacheLocator", None) or caching._InTreeCacheLocator
in_tree.from_function = classmethod(lambda *_: None)

from xmlcli.kernels import row_weights

row_weights.weigh_rows(sp.csr_matrix(np.eye(3, dtype=np.float32)), None)
counts = [kernel.stats for kernel in vars(row_weights).values() if hasattr(kernel, "stats")]
print(sum(sum(c.cache_misses.values()) for c in counts), sum(sum(c.cache_hits.values()) for c in counts))
"""


def test_a_kernel_is_compiled_once_for_all_processes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT), "NUMBA_CACHE_DIR": ""}
    words = [sys.executable, "-c", PROCESS, str(tmp_path / "file" / "own")]
    first, second = (
        subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    )
    assert int(first[0]) > 0
    assert second[0] == "0"
    assert int(second[1]) > 0
