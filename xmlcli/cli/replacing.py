"""Keep a training from taking the place of another one that it is not: of another source, or with other settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from xmlcli.cli.options import Opened
from xmlcli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from xmlcli.runs.snapshot import Training


def check_replaced(opened: Opened) -> None:
    """Raise UsageError where the run has a complete training of another source, or one that was given other settings.

    A pipeline file that was edited since, and a dataset that was, are no reason.
    """
    if not opened.workspace.snapshot_path.exists():
        return
    from xmlcli.runs.snapshot import published

    try:
        training = published(opened.workspace)
    except ArtifactError:
        return  # what is damaged may be replaced
    expected, found = _difference(training, opened)
    if found:
        name = opened.run.name
        raise UsageError(
            f"run {name} has been trained otherwise",
            expected=expected,
            found=found,
            remedy=f"add --name {name}-2 to keep both (any name will do), or --replace to train {name} anew",
        )


def _difference(training: Training, opened: Opened) -> tuple[str, str]:
    """Return in words what the training has and what is asked for; empty where there is no difference."""
    source = opened.source
    if source and training.source and source != training.source and not _is_copy(training, source):
        return f"a dataset at {training.source}", source
    before, now = training.overrides, opened.overrides
    same_run = (training.run.profile or "default") == (opened.run.profile or "default")
    if same_run and (before == now or training.config == opened.config):
        return "", ""
    return _words(training.run.profile, before), _words(opened.run.profile, now)


def _words(profile: str | None, overrides: object) -> str:
    assert isinstance(overrides, dict)
    given = [f"--set {key}={json.dumps(value)}" for key, value in overrides.items()]
    return " ".join([*([f"--profile {profile}"] if profile else []), *given]) or "the settings of the pipeline file"


def _is_copy(training: Training, source: str) -> bool:
    """Whether the raw files have the content that the training read, wherever they lie."""
    from xmlcli.datasets.find import locate
    from xmlcli.storage import files

    if os.sep not in source:
        return False
    record = files.read_json(training.workspace.record("prepare"))
    known = record.get("identity", {}).get("sources") if isinstance(record, dict) else None
    raw = locate(source, []).files.values()
    return known == {path.name: files.sha256_file(Path(path)) for path in raw}
