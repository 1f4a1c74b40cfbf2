"""Tell DVC what `train` has made, so that `dvc repro` finds it done.

DVC copies the artifacts into its cache, as after stages that it runs itself, and writes dvc.lock.
"""

from __future__ import annotations

import logging
from pathlib import Path

from xmlcli.errors import XmlcliError
from xmlcli.runs import dvc_table
from xmlcli.runs.snapshot import Training, key_of
from xmlcli.storage import files
from xmlcli.storage.workspace import Workspace

_TABLE, _LOCK = Path("params.yaml"), Path("dvc.lock")


def is_adoptable(workspace: Workspace, training: Training) -> bool:
    """Whether the training is that of a run in the table of a DVC project here, as its pipeline file says."""
    if training.overrides or not Path(".dvc").is_dir() or workspace.root.resolve() != Path.cwd():
        return False
    try:
        return training.run.name in [run.name for run in dvc_table.read_runs(_TABLE)]
    except XmlcliError:
        return False  # xmlcli plan says what is wrong with the table


def adopt(workspace: Workspace, training: Training) -> str | None:
    """Write what the run's stages have made into dvc.lock, unless it is there; return why that was impossible."""
    noted = {"artifacts": {key_of(ref): sha256 for ref, sha256 in training.identities.items()}}
    if _LOCK.exists() and files.read_json(_note(workspace)) == noted:
        return None
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    log = logging.getLogger("dvc")
    level = log.level
    names = [f"settings@{training.run.name}", *(call.dvc_name for call in training.plan)]
    log.setLevel(logging.WARNING)  # it tells of every stage that it has written the lock file
    try:
        with Repo(".") as repo:
            for name in names:
                repo.commit(name, force=True, relink=False)
    except (DvcException, OSError) as error:
        return " ".join(str(error).split())
    finally:
        log.setLevel(level)
    files.write_json(_note(workspace), noted)
    return None


def _note(workspace: Workspace) -> Path:
    return workspace.scratch("dvc.json")
