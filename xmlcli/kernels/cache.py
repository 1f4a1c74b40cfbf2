"""Where compiled kernels are kept: beside their files, or, where these cannot be written, in a folder of the user's."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

from numba import config
from numba.core.caching import _CacheLocator

_OWN = Path(__file__).parent / "__pycache__"
_log = logging.getLogger("xmlcli")


def prepare_cache() -> bool:
    """Choose the folder of compiled kernels; return whether there is one.

    An installation that cannot be written is given a copy of what it holds compiled, in the user's cache folder or else
    in a temporary one; without either every process compiles anew. NUMBA_CACHE_DIR is obeyed where it can be written.
    """
    chosen: str = config.CACHE_DIR  # type: ignore[attr-defined]
    if _writable(Path(chosen) if chosen else _OWN):
        return True
    for folder in _fallbacks():
        if _private(folder):
            config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
            _copy_compiled(folder)
            return True
    _log.warning(
        "compiled kernels cannot be kept, so every process compiles them anew; set NUMBA_CACHE_DIR to a folder"
    )
    return False


def _fallbacks() -> list[Path]:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [Path(home) / "xmlcli" / "kernels", Path(tempfile.gettempdir()) / f"xmlcli-kernels-{os.getuid()}"]


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made where it is absent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _private(folder: Path) -> bool:
    """Whether files can be made in a folder that nobody else can write: what is loaded from it is run."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat(follow_symlinks=False)
    except OSError:
        return False
    return status.st_uid == os.getuid() and not status.st_mode & 0o022 and _writable(folder)


def _copy_compiled(folder: Path) -> None:
    """Copy the kernels that the installation holds compiled to where numba looks for them below a folder."""
    below: str = _CacheLocator.get_suitable_cache_subpath(__file__)  # type: ignore[no-untyped-call]
    to = folder / below
    if to.exists():
        return
    _log.info("compiled kernels are kept in %s", folder)
    part = Path(tempfile.mkdtemp(dir=folder))
    for path in (*_OWN.glob("*.nbi"), *_OWN.glob("*.nbc")):
        shutil.copy2(path, part)
    try:
        part.rename(to)
    except OSError:  # another process was first
        shutil.rmtree(part)
