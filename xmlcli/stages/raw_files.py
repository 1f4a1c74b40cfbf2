"""What the stage prepare reads: the raw files of a dataset, and what they are identified by."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from xmlcli.datasets.find import DatasetFolder, data_folders, locate
from xmlcli.datasets.formats.layouts import DEMO
from xmlcli.errors import DatasetError
from xmlcli.stages.job import Job
from xmlcli.storage import files
from xmlcli.storage.files import Json


def find_raw(job: Job) -> DatasetFolder:
    """Return the job's dataset. Raises DatasetError where there is none."""
    return locate(job.call.run.dataset, data_folders(job.workspace.root))


def sources(job: Job) -> dict[str, str]:
    """Return name → sha256 of each raw file, or for `demo` the version of its generator.

    Hashes are remembered by the file's size and time of modification, so files are read only once. Raises
    DatasetError where the dataset is not on this machine.
    """
    folder = find_raw(job)
    if folder.layout == DEMO:
        from xmlcli.datasets.synthetic import demo

        return {DEMO: f"version {demo.VERSION}, {demo.DEFAULT}"}
    now = {path: _stamp(path) for path in folder.files.values()}
    known = _read_cache(job.workspace.hash_cache_path)
    hashes, changed = {}, False
    for path, stamp in now.items():
        name = str(path.resolve())
        if name not in known or known[name]["stamp"] != stamp:
            known[name], changed = {"stamp": stamp, "sha256": files.sha256_file(path)}, True
        hashes[path.name] = known[name]["sha256"]
    if changed:
        with suppress(OSError):  # a cache that cannot be written is done without
            files.write_json(job.workspace.hash_cache_path, known)
    return hashes


def _read_cache(path: Path) -> dict[str, dict[str, Json]]:
    """Return the entries of the cache that are whole."""
    known = {}
    with suppress(OSError):
        for name, entry in (files.read_json(path) or {}).items():
            match entry:
                case {"stamp": [int(), int()] as stamp, "sha256": str(sha256)}:
                    known[name] = {"stamp": stamp, "sha256": sha256}
    return known


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read", found=str(error)) from error
    return [status.st_size, status.st_mtime_ns]
