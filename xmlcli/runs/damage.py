"""Compare every file of a run with the hashes in its manifests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmlcli.errors import ArtifactError
from xmlcli.progress import Progress, silent
from xmlcli.stages.call import Call
from xmlcli.storage import artifacts
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.manifests import MANIFEST
from xmlcli.storage.verification import VerifiedFiles, find_damage
from xmlcli.storage.workspace import Workspace

Damage = dict[str, list[str]]
"""A call's name → a line for each thing that is wrong with its output: the file, what was expected and found."""


def verify_run(workspace: Workspace, calls: Sequence[Call], progress: Progress = silent) -> Damage:
    """Hash every file of the outputs of `calls`, and return what is wrong; a call without an output has nothing wrong.

    Nothing is taken from the record of verified files, which is brought up to date.
    """
    damage: Damage = {}
    opened: dict[Path, tuple[Call, Artifact]] = {}
    for call in calls:
        folder = workspace.artifact(call.output)
        try:
            if (folder / MANIFEST).exists():
                opened[folder] = call, artifacts.read(folder, call.output.kind, made_by=call.command)
        except (ArtifactError, PermissionError) as error:
            damage[call.name] = [_line(error)]
    verified = VerifiedFiles(workspace.verified_path)
    of_run = [artifact for _, artifact in opened.values()]
    for artifact, problem in find_damage(of_run, verified, everything=True, progress=progress):
        damage.setdefault(opened[artifact.folder][0].name, []).append(_line(problem))
    return damage


def _line(error: ArtifactError | PermissionError) -> str:
    if isinstance(error, PermissionError):
        return f"{error.filename}: {error.strerror}"
    return "; ".join(line for line in str(error).splitlines() if not line.startswith("what to do: "))
