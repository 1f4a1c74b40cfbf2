"""Where the files of a run lie, and the lock that keeps two runs apart.

artifacts/<run>/prepared/               see `xmlcli.storage.kinds` for the files of each folder
artifacts/<run>/cycle<c>/<kind>/
metrics/<run>/cycle<c>.json             what `dvc metrics show` reads
runs/<run>/<call>.json                  what made an artifact, and what it cost
runs/<run>/run.json                     the dataset, profile and overrides that it was last trained with
runs/<run>/settings.yaml                all settings of the last command that ran stages
snapshots/<run>/snapshot.json           names the complete training that answers
snapshots/<run>/<number>/               its files, laid out like a root: see `xmlcli.runs.snapshot`
scratch/<run>/<call>/                   checkpoints of a call that has not finished
scratch/<run>/lock                      held while a run writes
scratch/<run>/verified.json             which large files of artifacts have been compared with their hashes
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xmlcli.errors import LockedError, UsageError
from xmlcli.storage import files
from xmlcli.storage.atomic import REPLACED, TEMPORARY, remove

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Ref:
    """One artifact of a run: its kind and, but for `prepared`, its cycle."""

    kind: str
    cycle: int | None = None

    def __str__(self) -> str:
        return self.kind if self.cycle is None else f"{self.kind} of cycle {self.cycle}"


def check_name(name: str, what: str) -> str:
    """Return `name` if it can be part of a path and of a DVC stage name; raise UsageError otherwise."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what} {name!r} cannot be used as a name",
            expected="small letters a to z, digits, '.', '_' and '-', the first a letter or digit",
            remedy="rename the file or folder",
        )
    return name


@dataclass(frozen=True)
class Workspace:
    """Every path under `root` that belongs to the run called `run`."""

    root: Path
    run: str

    def relative(self, ref: Ref) -> Path:
        """Return the artifact's folder, relative to the root."""
        base = Path("artifacts") / self.run
        return base / ref.kind if ref.cycle is None else base / f"cycle{ref.cycle}" / ref.kind

    def artifact(self, ref: Ref) -> Path:
        """Return the artifact's folder."""
        return self.root / self.relative(ref)

    def metrics(self, cycle: int) -> Path:
        """Return the file with the metrics of a cycle."""
        return self.root / "metrics" / self.run / f"cycle{cycle}.json"

    def record(self, call: str) -> Path:
        """Return the file that says what the call used when it last finished."""
        return self.root / "runs" / self.run / f"{call}.json"

    @property
    def settings_path(self) -> Path:
        """The file with all settings of the run, which DVC compares."""
        return self.root / "runs" / self.run / "settings.yaml"

    @property
    def snapshots(self) -> Path:
        """The folder of the run's snapshot."""
        return self.root / "snapshots" / self.run

    @property
    def snapshot_path(self) -> Path:
        """The file that names the complete training."""
        return self.snapshots / "snapshot.json"

    def slot(self, number: int) -> Workspace:
        """Return the workspace that holds the files of a snapshot."""
        return Workspace(self.snapshots / str(number), self.run)

    def scratch(self, call: str) -> Path:
        """Return the folder of the call's checkpoints."""
        return self.root / "scratch" / self.run / call

    @property
    def lock_path(self) -> Path:
        """The file locked while something writes to this run."""
        return self.root / "scratch" / self.run / "lock"

    @property
    def hash_cache_path(self) -> Path:
        """Remembers the sha256 of raw files by size and modification time."""
        return self.root / "scratch" / self.run / "raw-hashes.json"

    @property
    def verified_path(self) -> Path:
        """Remembers which files of artifacts were compared with their hashes, see `xmlcli.storage.verification`."""
        return self.root / "scratch" / self.run / "verified.json"


@contextmanager
def lock(workspace: Workspace) -> Iterator[None]:
    """Hold the run's lock, and remove what killed runs left half-written.

    Raises LockedError at once when another process holds it. The lock goes with the process, however that ends.
    """
    path = workspace.lock_path
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        raise UsageError("the lock of a run is no file", where=str(path), remedy="remove it")
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            handle.seek(0)
            raise LockedError(
                f"another run works on {workspace.run!r} ({handle.read().strip() or 'unknown process'})",
                remedy="wait for it or end it, then type the same command again",
            ) from None
        handle.truncate(0)
        handle.write(f"process {os.getpid()}: {' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}\n")
        handle.flush()
        _remove_leftovers(workspace)
        try:
            yield
        finally:
            handle.truncate(0)


def holder(workspace: Workspace) -> str | None:
    """Return which process works on the run, None where none seems to. The lock itself is left alone."""
    try:
        text = files.read_bounded(workspace.lock_path).decode(errors="replace").strip()
        process = re.match(r"process (\d{1,9}): ", text)
        if process is None:
            return None
        os.kill(int(process[1]), 0)
    except PermissionError:
        pass  # somebody else's
    except (OSError, ValueError):
        return None
    return text


def _remove_leftovers(workspace: Workspace) -> None:
    """Remove what killed runs were writing; only the holder of the lock may have any."""
    base = workspace.root / "artifacts" / workspace.run
    for pattern in (f".*{TEMPORARY}", f".*{REPLACED}"):
        for folder in [*base.glob(pattern), *base.glob(f"cycle*/{pattern}")]:
            remove(folder)
    for above in ("runs", "metrics", "scratch"):
        folder = workspace.root / above / workspace.run
        for file in [*folder.glob(f".*{TEMPORARY}.*"), *folder.glob(f"*/.*{TEMPORARY}.*")]:
            remove(file)
