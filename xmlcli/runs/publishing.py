"""Publish a finished training as the run's snapshot, and remove what is no longer named.

The files are hard links, so a snapshot costs no disk as long as its artifacts are those of the run; artifacts are never
edited, they are replaced. Where links are impossible they are copies. Whoever calls these functions holds the run's
lock. kill -9 at any moment leaves the old snapshot or the new one, and perhaps a folder that none names, which the next
holder of the lock removes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from xmlcli.errors import ArtifactError
from xmlcli.runs.identity import Status, status
from xmlcli.runs.snapshot import Training, describe, published
from xmlcli.stages.call import Call
from xmlcli.storage import artifacts, files
from xmlcli.storage.artifacts import MANIFEST
from xmlcli.storage.atomic import REPLACED, atomic_folder, sync
from xmlcli.storage.kinds import KINDS
from xmlcli.storage.workspace import Ref, Workspace

if TYPE_CHECKING:
    from xmlcli.runs.runner import Session

_Sources = Mapping[Path, Path]
"""Path within a snapshot's folder → the file that it is a link to."""


def publish(session: Session, plan: Sequence[Call], *, trained: bool) -> Status | None:
    """Publish the run's training if every call of its plan is current, else return the first that is not.

    What is published already stays as it is, but for the time of a run that was `trained` again.
    """
    workspace, run = session.workspace, plan[0].run
    for call_status in status(session, plan):
        if not call_status.current:
            return call_status
    identities = {call.output: artifacts.identity(workspace.artifact(call.output)) for call in plan}
    sources, records = _sources(workspace, plan), _records(workspace, plan)
    before = _published(workspace)
    fits = before is not None and before.identities == identities and _holds(before.workspace.root, sources, records)
    slot = before.workspace if before and fits else workspace.slot(_new_number(workspace))
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    is_same_training = before is not None and _of_training(before.identities) == _of_training(identities)
    finished = before.finished if before and is_same_training and not trained else now
    source = session.source or (before.source if before else "")
    training = Training(
        slot, run, session.config, session.overrides, identities, session.workspace.verified_path, finished, source
    )
    if not fits:
        _write(training, sources, records)
    if before is None or describe(before) != describe(training):
        files.write_json(workspace.snapshot_path, describe(training))
    tidy(workspace)
    return None


def withdraw(workspace: Workspace) -> None:
    """Remove the run's snapshot."""
    if workspace.snapshot_path.exists():
        workspace.snapshot_path.unlink()
        sync(workspace.snapshots)
        tidy(workspace)


def tidy(workspace: Workspace) -> None:
    """Remove all that the snapshot does not name; nothing where that cannot be read."""
    kept = {workspace.snapshot_path.name}
    if workspace.snapshot_path.exists():
        before = _published(workspace)
        if before is None:
            return
        kept.add(before.workspace.root.name)
    for path in sorted(workspace.snapshots.glob("*")):  # hidden ones first
        if path.name in kept:
            continue
        if not path.is_dir():
            path.unlink()
            continue
        if not path.name.startswith("."):
            path = path.rename(path.with_name(f".{path.name}{REPLACED}"))  # readers see that it goes
        shutil.rmtree(path, ignore_errors=True)


def _write(training: Training, sources: _Sources, records: Mapping[Path, bytes]) -> None:
    """Write the folder of a snapshot, which none names yet."""
    with atomic_folder(training.workspace.root) as temporary:
        for name, source in sources.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            _link(source, temporary / name)
        for name, content in records.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)
            sync(temporary / name)
        for folder in temporary.rglob("*"):
            if folder.is_dir():
                sync(folder)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # such a filesystem
        shutil.copy2(source, target)
        sync(target)


def _sources(workspace: Workspace, plan: Sequence[Call]) -> dict[Path, Path]:
    """Return the files that evaluations and predictions are made of, and the reports of shortlists."""
    measured = [call for call in plan if call.stage == "evaluate"]
    whole = dict.fromkeys(ref for call in measured for ref in (*call.inputs.values(), call.output))
    named: list[tuple[Ref, str]] = [(ref, MANIFEST) for ref in whole]
    for ref in whole:
        artifact = artifacts.read(workspace.artifact(ref), ref.kind, made_by=f"xmlcli train {plan[0].run.options}")
        named += [(ref, name) for name in KINDS[ref.kind] if artifact.has(name)]
    for call in plan:
        if call.stage == "shortlist":
            named += [(call.output, MANIFEST), (call.output, "report.json")]
    return {workspace.relative(ref) / name: workspace.artifact(ref) / name for ref, name in named}


def _records(workspace: Workspace, plan: Sequence[Call]) -> dict[Path, bytes]:
    """Return the records of all calls, by their path within a snapshot's folder."""
    paths = [workspace.record(call.name) for call in plan]
    return {path.relative_to(workspace.root): path.read_bytes() for path in paths}


def _holds(folder: Path, sources: _Sources, records: Mapping[Path, bytes]) -> bool:
    """Whether a snapshot's folder holds these very files: by inode, or where they are copies by size and time."""
    try:
        return all(_is_same(folder / name, source) for name, source in sources.items()) and all(
            files.holds(folder / name, content) for name, content in records.items()
        )
    except OSError:
        return False


def _is_same(path: Path, source: Path) -> bool:
    one, other = path.stat(), source.stat()
    return os.path.samestat(one, other) or (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _of_training(identities: Mapping[Ref, str | None]) -> dict[Ref, str | None]:
    return {ref: sha256 for ref, sha256 in identities.items() if ref.kind not in ("combination", "evaluation")}


def _published(workspace: Workspace) -> Training | None:
    try:
        return published(workspace)
    except ArtifactError:
        return None


def _new_number(workspace: Workspace) -> int:
    """Return a number that no snapshot of the run has had, as far as is known."""
    names = [path.name for path in workspace.snapshots.glob("*")]
    return 1 + max((int(name) for name in names if name.isascii() and name.isdecimal() and len(name) < 9), default=0)
