"""The hashes of raw files, and the cache that spares hashing them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.fake_stages import make_config
from support.permissions import forbidden

from xmlcli.runs.plan import find_call, plan
from xmlcli.stages.call import RunId
from xmlcli.stages.job import Job
from xmlcli.stages.raw_files import sources
from xmlcli.storage import files
from xmlcli.storage.workspace import Workspace


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("1 2 1\n0 1:1\n")
    (folder / "test.txt").write_text("1 2 1\n0 1:1\n")
    run, config = RunId(str(folder)), make_config()
    return Job(find_call(plan(config, run), "prepare", None), Workspace(tmp_path, run.name), config)


BAD_CACHES = {
    "noise": b"\xff{",
    "nested": b'{"a":' * 100_000,
    "no object": b"[1]",
    "no entry": b'{"%s": 3}',
    "no stamp": b'{"%s": {"stamp": null, "sha256": "0"}}',
    "no hash": b'{"%s": {"stamp": [12, 1]}}',
    "a hash of another form": b'{"%s": {"stamp": [12, 1], "sha256": [1]}}',
    "infinite": b'{"x": {"stamp": [1e999, 1], "sha256": "0"}}',
}


@pytest.mark.parametrize("content", BAD_CACHES.values(), ids=BAD_CACHES)
def test_a_damaged_cache_is_made_anew(job: Job, content: bytes) -> None:
    expected = sources(job)
    path = job.workspace.hash_cache_path
    raw = Path(job.call.run.dataset) / "train.txt"
    path.write_bytes(content.replace(b"%s", str(raw).encode()))
    assert sources(job) == expected == dict.fromkeys(["train.txt", "test.txt"], files.sha256_file(raw))
    whole = files.read_json(path)
    assert whole is not None
    assert len(whole) == 2


def test_a_cache_that_cannot_be_read_or_written_is_done_without(job: Job) -> None:
    expected = sources(job)
    with forbidden(job.workspace.hash_cache_path):
        assert sources(job) == expected
    job.workspace.hash_cache_path.unlink()
    job.workspace.hash_cache_path.parent.rmdir()
    job.workspace.hash_cache_path.parent.write_text("a file where the folder should be")
    assert sources(job) == expected


def test_a_file_that_has_changed_is_hashed_again_even_where_its_size_is_the_same(job: Job) -> None:
    before = sources(job)
    raw = Path(job.call.run.dataset) / "train.txt"
    status = raw.stat()
    raw.write_text(raw.read_text()[::-1])
    os.utime(raw, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert sources(job) == {"train.txt": files.sha256_file(raw), "test.txt": before["test.txt"]}
