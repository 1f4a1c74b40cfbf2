"""Whether the files of artifacts still are what their manifests say, without hashing large ones at every start.

A small file is hashed each time. A large one is hashed once; a record then holds its size, time of modification and
inode, and while these are the same the file counts as verified. Hard links of a file share all three. Where the record
is lost, damaged or cannot be written, files are hashed again, and nothing else happens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xmlcli.errors import ArtifactError
from xmlcli.progress import Progress, silent
from xmlcli.storage import files
from xmlcli.storage.artifacts import Artifact

SMALL = 1 << 20
"""Files of fewer bytes are always hashed."""
_MOST_ARTIFACTS = 500
_MOST_STAMPS = 2  # the artifact's own file, and that of a snapshot when the artifact was made again alike
_BLOCK = 1 << 20

Stamp = list[int]


def stamp(path: Path) -> Stamp:
    """Return size, time of modification and inode: what changes when a file does."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


class VerifiedFiles:
    """The record: artifact's identity → file's name → the stamps it had when its hash was right."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._stamps: dict[str, dict[str, list[Stamp]]] = {}
        with suppress(OSError):
            self._stamps = _parse((files.read_json(path) or {}).get("artifacts"))

    def has(self, artifact: str, name: str, stamp: Stamp) -> bool:
        """Whether the file was verified with this stamp."""
        return stamp in self._stamps.get(artifact, {}).get(name, [])

    def add(self, artifact: str, name: str, stamp: Stamp) -> None:
        """Note that the file with this stamp has the right hash, unless it is small."""
        if stamp[0] >= SMALL and not self.has(artifact, name, stamp):
            stamps = self._stamps.pop(artifact, {})  # the newest come last
            stamps[name] = [stamp, *stamps.get(name, [])][:_MOST_STAMPS]
            self._stamps[artifact] = stamps
            self._changed = True

    def drop(self, artifact: str, name: str) -> None:
        """Forget all stamps of a file."""
        if self._stamps.get(artifact, {}).pop(name, None) is not None:
            self._changed = True

    def save(self) -> None:
        """Replace the record if anything in it is new. One that cannot be written is done without."""
        if self._changed:
            newest = list(self._stamps.items())[-_MOST_ARTIFACTS:]
            with suppress(OSError):
                files.write_json(self._path, {"artifacts": newest})
            self._changed = False


def _parse(pairs: object) -> dict[str, dict[str, list[Stamp]]]:
    """Return the stamps of a record, without any that is not of its form."""
    stamps: dict[str, dict[str, list[Stamp]]] = {}
    for pair in pairs if isinstance(pairs, list) else []:
        match pair:
            case [str(artifact), dict(by_name)]:
                stamps[artifact] = {
                    name: [seen for seen in found if isinstance(seen, list) and all(type(n) is int for n in seen)]
                    for name, found in by_name.items()
                    if isinstance(found, list)
                }
    return stamps


def record_written(path: Path, artifact: str, stamps: Mapping[str, Stamp]) -> None:
    """Record the files of an artifact that was just written, hashed after the stamps were taken."""
    verified = VerifiedFiles(path)
    for name, of_file in stamps.items():
        verified.add(artifact, name, of_file)
    verified.save()


def verify_opened(artifacts: Iterable[Artifact], record_path: Path, progress: Progress = silent) -> None:
    """Compare the files of artifacts with their manifests: small ones always, large ones unless the record has them.

    Raises DamagedFileError at the first that differs, which says path, expected, found and the command that makes it
    again, and PermissionError for one that may not be read. What was hashed is recorded, even then.
    """
    for _, problem in find_damage(artifacts, VerifiedFiles(record_path), progress=progress):
        raise problem


def find_damage(
    artifacts: Iterable[Artifact], verified: VerifiedFiles, *, everything: bool = False, progress: Progress = silent
) -> Iterator[tuple[Artifact, ArtifactError | PermissionError]]:
    """Yield what is wrong with a file, for each such file of artifacts; `everything`: hash what the record has too.

    Keeps the record up to date. Progress is told in MiB, of large files only.
    """
    opened = [_File(artifact, name) for artifact in artifacts for name in artifact.entries]
    due = [file for file in opened if everything or not file.is_verified(verified)]
    total, done = sum(file.size for file in due if file.size >= SMALL), 0

    def advance(read: int) -> None:
        nonlocal done
        done += read
        progress("verify, MiB", done >> 20, total >> 20)

    try:
        for file in due:
            problem = file.problem(verified, advance)
            if problem is not None:
                yield file.artifact, problem
    finally:
        verified.save()


@dataclass(frozen=True)
class _File:
    artifact: Artifact
    name: str

    @property
    def path(self) -> Path:
        return self.artifact.folder / self.name

    @property
    def size(self) -> int:
        size: int = self.artifact.entries[self.name]["bytes"]
        return size

    def is_verified(self, verified: VerifiedFiles) -> bool:
        """Whether the record knows the file as it is now."""
        if self.size < SMALL:
            return False
        try:
            return verified.has(self.artifact.identity, self.name, stamp(self.path))
        except OSError:
            return False

    def problem(
        self, verified: VerifiedFiles, advance: Callable[[int], None]
    ) -> ArtifactError | PermissionError | None:
        """Return what is wrong with the file, None where nothing is; either goes on record."""
        expected = self.artifact.entries[self.name]
        try:
            before = stamp(self.path)
            if before[0] != expected["bytes"] or not self.path.is_file():
                problem = self.artifact.damaged(self.name, f"{before[0]} bytes", f"{expected['bytes']} bytes")
            elif (sha256 := _sha256(self.path, advance if self.size >= SMALL else _ignore)) != expected["sha256"]:
                problem = self.artifact.damaged(self.name, f"sha256 {sha256}", f"sha256 {expected['sha256']}")
            else:
                verified.add(self.artifact.identity, self.name, before)
                return None
        except PermissionError as error:
            return error
        except OSError as error:
            problem = self.artifact.damaged(self.name, str(error.strerror), f"{expected['bytes']} bytes")
        verified.drop(self.artifact.identity, self.name)
        return problem


def _ignore(read: int) -> None:
    """Tell nobody."""


def _sha256(path: Path, advance: Callable[[int], None]) -> str:
    """Return the sha256 of a file, read in blocks; `advance` gets the bytes of each."""
    digest, block = hashlib.sha256(), memoryview(bytearray(min(_BLOCK, path.stat().st_size + 1)))
    with path.open("rb", buffering=0) as handle:
        while read := handle.readinto(block):
            digest.update(block[:read])
            advance(read)
    return digest.hexdigest()
