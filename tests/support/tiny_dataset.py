"""A tiny dataset on disk, and runs of the real stages on it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from support.paths import PROJECT
from support.planted_data import collection, write_rows

from xmlcli.config.load import load_config
from xmlcli.runs import runner
from xmlcli.runs.plan import plan
from xmlcli.runs.runner import Session
from xmlcli.stages.call import Call, RunId
from xmlcli.storage.workspace import Workspace

LABELS = 15
SMALL = {
    "cycles": 2,
    "measure_every_cycle": True,
    "prepare.validation_fraction": 0.2,
    "model.dim": 32,
    "proxy.epochs": 2,
    "clf.max_epochs": 6,
    "clf.min_batches": 4,
    "evaluate.top_k": 10,
}
PROFILES = {
    "default": {**SMALL, "clf.min_documents": 2000},
    "authors": {**SMALL, "proxy.hidden": 40, "clf.epochs": 6, "clf.batch_size": 32, "clf.learning_rate": 0.03},
}


def write_dataset(folder: Path, *, other_test_labels: bool = False) -> Path:
    """Write 200 training and 60 test documents; the last label has no document, the first test document no feature."""
    folder.mkdir(parents=True)
    X, Y = collection(260, LABELS, 0)
    Y = sp.hstack([Y, sp.csr_matrix((260, 1))], format="csr", dtype=np.float32)
    X = X.tolil()
    X[200] = 0
    test = Y[200:]
    write_rows(folder / "train.txt", X[:200].tocsr(), Y[:200])
    write_rows(folder / "test.txt", X[200:].tocsr(), test[::-1] if other_test_labels else test)
    return folder


def opened(root: Path, dataset: Path, profile: str, **more: object) -> tuple[Session, list[Call]]:
    overrides = PROFILES[profile] | {key.replace("__", "."): value for key, value in more.items()}
    config = load_config(PROJECT / "pipelines" / f"{profile}.yaml", overrides)
    run = RunId(str(dataset), profile)
    return Session(Workspace(root, run.name), config, device="cpu", overrides=overrides), plan(config, run)


def run(root: Path, dataset: Path, profile: str, **more: object) -> Session:
    session, calls = opened(root, dataset, profile, **more)
    runner.run(session, calls, calls)
    return session


@cache
def shared_dataset() -> Path:
    """The dataset, written once a session; tests leave it as it is."""
    return write_dataset(_temporary() / "tiny")


@cache
def finished_root(profile: str) -> Path:
    """A root with a finished run on the shared dataset, made once a session; tests leave it as it is."""
    root = _temporary()
    run(root, shared_dataset(), profile)
    return root


def contents(root: Path) -> dict[str, bytes]:
    """Every file of every artifact below a root, by its path there."""
    folder = root / "artifacts"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="xmlcli-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
