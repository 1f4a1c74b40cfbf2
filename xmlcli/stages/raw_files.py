"""What the stage prepare reads: the raw files of a dataset, and what they are identified by."""

from __future__ import annotations

from pathlib import Path

from xmlcli.datasets.find import DatasetFolder, data_folders, locate
from xmlcli.datasets.formats.layouts import DEMO
from xmlcli.errors import DatasetError
from xmlcli.stages.job import Job
from xmlcli.storage import files


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
    cache = files.read_json(job.workspace.hash_cache_path)
    known = cache if isinstance(cache, dict) else {}
    now = {str(path.resolve()): _stamp(path) for path in folder.files.values()}
    hashes = {}
    for path in folder.files.values():
        name = str(path.resolve())
        stamp = now[name]
        if known.get(name, {}).get("stamp") != stamp:
            known[name] = {"stamp": stamp, "sha256": files.sha256_file(path)}
        hashes[path.name] = known[name]["sha256"]
    if known != cache:
        files.write_json(job.workspace.hash_cache_path, known)
    return hashes


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read", found=str(error)) from error
    return [status.st_size, status.st_mtime_ns]
