"""Replace files and folders atomically: at any moment the old one is there or the whole new one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY, REPLACED = ".tmp", ".old"
"""Suffixes of the hidden files and folders that a killed process may leave behind."""


def sync(path: Path) -> None:
    """Force a file or a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a folder with all in it, a file or a link, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary sibling with the same suffix; when the block ends well it replaces `path`.

    At any moment `path` is either absent, the old file or the whole new one. Use it for checkpoints:

        with atomic_file(job.scratch / "model.safetensors") as path:
            files.save_tensors(path, tensors)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{TEMPORARY}{path.suffix}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path, owner: str = "") -> Iterator[Path]:
    """Yield a new folder beside `folder`. When the block ends well it replaces `folder`.

    Whatever ends the block early, kill -9 included, leaves the old folder or none, and perhaps hidden folders that end
    in `TEMPORARY` or `REPLACED`. The next call of the same `owner` removes those. Processes that no lock keeps apart
    need different owners.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    leftovers = [folder.with_name(f".{folder.name}{owner}{end}") for end in (TEMPORARY, REPLACED)]
    temporary, replaced = leftovers
    for leftover in leftovers:
        remove(leftover)
    temporary.mkdir()
    try:
        yield temporary
        sync(temporary)
        if os.path.lexists(folder):
            folder.rename(replaced)
        temporary.replace(folder)
        sync(folder.parent)
    finally:
        for leftover in leftovers:
            remove(leftover)
