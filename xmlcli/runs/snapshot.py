"""What answers for a run: one complete training, published as one snapshot.

snapshots/<run>/snapshot.json    the run, all its settings, and the manifest hashes of all artifacts of its plan
snapshots/<run>/<number>/        the files that answers are made of, laid out like a root

`xmlcli.runs.publishing` writes them. snapshot.json is replaced at once and names one folder, whose files never change
and whose number is not used again; before a folder is removed it is renamed. So whoever has read all that he needs and
finds the folder still there has read one training, however many were published meanwhile.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from xmlcli.config.overrides import flatten
from xmlcli.config.resolved import all_settings, from_settings, overridden
from xmlcli.config.sections import Config
from xmlcli.errors import ArtifactError, ConfigError, UsageError
from xmlcli.runs.plan import plan
from xmlcli.stages.call import Call, RunId
from xmlcli.storage import artifacts, files
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.files import Json
from xmlcli.storage.workspace import Ref, Workspace, holder

T = TypeVar("T")

FORMAT = 2
_HIGHEST = 10**9


@dataclass(frozen=True)
class Training:
    """A training that answers: its settings, and which artifacts it consists of.

    Attributes:
        workspace: where its files lie; of a published one the folder that its snapshot names.
        identities: the manifest's sha256 of every artifact.
        verified_path: the run's record of files that were compared with their hashes.
        finished: when a command last completed it, as ISO 8601.
        source: where its dataset lay, or the name of one that the program makes; empty where that is not known.
    """

    workspace: Workspace
    run: RunId
    config: Config
    overrides: Mapping[str, Any]
    identities: Mapping[Ref, str | None]
    verified_path: Path = field(compare=False)
    finished: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    @cached_property
    def plan(self) -> list[Call]:
        """The calls that made it."""
        return plan(self.config, self.run)

    @property
    def command(self) -> str:
        """The command that makes it complete again."""
        return train_command(self.run, self.overrides)

    def read(self, ref: Ref) -> Artifact:
        """Return one of its artifacts. Raises ArtifactError where that is damaged, absent or of another training."""
        artifact = artifacts.read(self.workspace.artifact(ref), ref.kind, made_by=self.command)
        self._check(ref, artifact.identity)
        return artifact

    def report(self, ref: Ref) -> Json:
        """Return the report.json of one of its artifacts, of which no more needs to be there; None where it is damaged.

        Raises ArtifactError where the artifact is of another training.
        """
        folder = self.workspace.artifact(ref)
        self._check(ref, artifacts.identity(folder))
        return files.read_json(folder / "report.json")

    def check_unchanged(self) -> None:
        """Raise ArtifactError where one of its artifacts has been replaced."""
        for ref in self.identities:
            self._check(ref, artifacts.identity(self.workspace.artifact(ref)))

    def _check(self, ref: Ref, found: str | None) -> None:
        if found != self.identities[ref]:
            raise ArtifactError(
                f"the {ref} is not that of the complete training of {self.workspace.run}",
                where=str(self.workspace.artifact(ref)),
                expected=f"manifest sha256 {self.identities[ref]}",
                found=f"manifest sha256 {found}" if found else "no manifest",
                remedy=self.command,
            )


def through(workspace: Workspace, use: Callable[[Training], T], run: RunId | None = None) -> T:
    """Return what `use` makes of the run's published training, reading all that it needs before it returns.

    Where another training has been published meanwhile, and the files removed, `use` is called again. Raises what
    `published` and `use` raise.
    """
    while True:
        training = published(workspace, run)
        try:
            result = use(training)
        except (ArtifactError, OSError):
            if training.workspace.root.is_dir():
                raise
        else:
            if training.workspace.root.is_dir():
                return result


def published(workspace: Workspace, run: RunId | None = None) -> Training:
    """Return the run's complete training as its snapshot describes it; `run` says how the user calls the run.

    Raises ArtifactError, which names the command, where none is published or the snapshot is damaged.
    """
    while True:
        training = _read(workspace, run)
        if training.workspace.root.is_dir():
            return training
        if training == _read(workspace, run):
            found = f"no folder {training.workspace.root}"
            raise _damaged(workspace, found, training.command)


def measured(workspace: Workspace, config: Config, call: Call) -> Training:
    """Return what an evaluation has measured outside of a complete training, as its record names it.

    Raises ArtifactError where it is not on record.
    """
    record = files.read_json(workspace.record(call.name)) or {}
    try:
        identities = {ref: record["identity"]["inputs"][kind] for kind, ref in call.inputs.items()}
        identities |= {call.output: record["output"]}
        return Training(workspace, call.run, config, {}, identities, workspace.verified_path)
    except (TypeError, KeyError):
        raise incomplete(workspace, call.run) from None


def is_published(workspace: Workspace) -> bool:
    """Whether the run has a snapshot, whole or damaged."""
    return workspace.snapshot_path.exists()


def last_trained(root: Path, on_ignored: Callable[[str], None]) -> Workspace:
    """Return the run under `root` whose complete training is the newest. Damaged snapshots are ignored, and told.

    Raises UsageError where nothing has been trained, ArtifactError where nothing was completed or all is damaged.
    """
    found: list[tuple[str, Workspace]] = []
    errors: list[Exception] = []
    for path in sorted(root.glob("snapshots/*/snapshot.json")):
        workspace = Workspace(root, path.parent.name)
        try:
            found.append((published(workspace).finished, workspace))
        except (ArtifactError, OSError) as error:
            errors.append(error)
    if found:
        for told in errors:
            on_ignored("; ".join(str(told).splitlines()))
        return max(found, key=lambda pair: pair[0])[1]
    if errors:
        raise errors[-1]
    begun = [path for path in root.glob("runs/*/run.json") if _recorded(path)]
    if begun:
        newest = max(begun, key=lambda path: path.stat().st_mtime_ns)
        raise incomplete(Workspace(root, newest.parent.name))
    raise UsageError(
        "nothing has been trained here yet",
        where=str(root / "runs"),
        remedy="xmlcli train --dataset demo, or name another place with --root",
    )


def incomplete(workspace: Workspace, run: RunId | None = None, found: str | None = None) -> ArtifactError:
    """Return the refusal of a run without a complete training; `found`: why, where that is known."""
    works = holder(workspace)
    begun = (workspace.root / "artifacts" / workspace.run).is_dir()
    if works:
        found = f"a training under way ({works})"
    elif found is None:
        found = "artifacts of a training that is not finished, or of an older xmlcli" if begun else "nothing"
    command = _command(workspace, run)
    return ArtifactError(
        f"there is no complete training of {workspace.run}",
        where=str(workspace.snapshot_path),
        found=found,
        remedy=f"wait for it, or {command}" if works else command,
    )


def check_settings(training: Training, asked: Mapping[str, Any]) -> None:
    """Raise UsageError where a training has other settings than those `asked` for, ConfigError where there are none."""
    wanted = overridden(training.config, asked)
    if wanted == training.config:
        return
    have, want = (flatten(all_settings(config)) for config in (training.config, wanted))
    differing = [key for key in want if want[key] != have[key]]
    raise UsageError(
        f"the complete training of {training.workspace.run} has other settings",
        expected=", ".join(f"{key} = {json.dumps(want[key])}" for key in differing),
        found=", ".join(f"{key} = {json.dumps(have[key])}" for key in differing),
        remedy=f"ask without them, or {train_command(training.run, {**training.overrides, **asked})}",
    )


def train_command(run: RunId, overrides: Mapping[str, Any]) -> str:
    """Return the command that trains a run with these overrides."""
    given = "".join(f" --set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in overrides.items())
    return f"xmlcli train {run.options}{given}"


def key_of(ref: Ref) -> str:
    """Return the name of an artifact in snapshot.json."""
    return ref.kind if ref.cycle is None else f"cycle{ref.cycle}/{ref.kind}"


def describe(training: Training) -> dict[str, Json]:
    """Return the content of snapshot.json."""
    content = {
        "format": FORMAT,
        "slot": int(training.workspace.root.name),
        "dataset": training.run.dataset,
        "profile": training.run.profile,
        "name": training.run.called,
        "source": training.source,
        "overrides": dict(training.overrides),
        "settings": all_settings(training.config),
        "artifacts": {key_of(ref): sha256 for ref, sha256 in training.identities.items()},
        "finished": training.finished,
    }
    return files.sealed(content)


def _read(workspace: Workspace, run: RunId | None) -> Training:
    """Read snapshot.json. Raises ArtifactError where it is absent or cannot be used."""
    try:
        return _parse(json.loads(files.read_bounded(workspace.snapshot_path)), workspace)
    except (FileNotFoundError, NotADirectoryError):
        raise incomplete(workspace, run) from None
    except (ValueError, TypeError, KeyError, RecursionError, ConfigError) as error:
        found = f"no {error}" if isinstance(error, KeyError) else "; ".join(str(error).splitlines())
        raise _damaged(workspace, found, _command(workspace, run)) from None


def _parse(content: Json, workspace: Workspace) -> Training:
    """Return the training that snapshot.json describes; ValueError, TypeError, KeyError or ConfigError otherwise."""
    if not isinstance(content, dict) or content["format"] != FORMAT:
        raise ValueError(f"it is of another version than format {FORMAT}")
    if content != files.sealed(content):
        raise ValueError("it does not say what was written")
    slot, run = content["slot"], _run(content)
    if type(slot) is not int or not 0 < slot <= _HIGHEST:
        raise ValueError("slot is no number of a folder")
    config = from_settings(content["settings"], where="settings")
    outputs, hashes = [call.output for call in plan(config, run)], content["artifacts"]
    if not isinstance(hashes, dict) or set(hashes) != set(map(key_of, outputs)):
        raise ValueError("artifacts are not those of its plan")
    identities = {ref: hashes[key_of(ref)] for ref in outputs}
    own, finished, source = workspace.slot(slot), str(content["finished"]), str(content.get("source") or "")
    return Training(own, run, config, content["overrides"], identities, workspace.verified_path, finished, source)


def _run(content: Json) -> RunId:
    """Return the run that a record names; ValueError, TypeError or KeyError where it names none."""
    dataset, names = content["dataset"], (content["profile"], content.get("name"))
    if not isinstance(dataset, str) or not all(isinstance(n, str | None) for n in names) or "\0" in dataset:
        raise TypeError("dataset, profile and name are no names")
    if not isinstance(content["overrides"], dict):
        raise TypeError("overrides are no settings")
    return RunId(dataset, *names)


def _damaged(workspace: Workspace, found: str, command: str) -> ArtifactError:
    return ArtifactError(
        f"the snapshot of {workspace.run} is damaged", where=str(workspace.snapshot_path), found=found, remedy=command
    )


def _command(workspace: Workspace, run: RunId | None) -> str:
    """Return the command that trains a run as it was last trained, as far as that is known."""
    recorded = _recorded(workspace.record("run"))
    if recorded is None:
        return train_command(run or RunId(workspace.run), {})
    return train_command(run or recorded[0], recorded[1])


def _recorded(path: Path) -> tuple[RunId, Mapping[str, Any]] | None:
    """Return the run and the overrides of a run.json; None where it is absent or damaged."""
    try:
        record = files.read_json(path) or {}
        return _run(record), record["overrides"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
