"""A small trained run over texts, and the model it makes, both made once a session."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from support.paths import PROJECT

from xmlcli.config.load import load_config
from xmlcli.runs import runner
from xmlcli.runs.plan import plan
from xmlcli.runs.runner import Session
from xmlcli.runs.snapshot import published
from xmlcli.runs.trained_run import TrainedRun
from xmlcli.serving.contents import ModelContents
from xmlcli.serving.model import Model
from xmlcli.stages.call import RunId
from xmlcli.storage.workspace import Workspace

SMALL = {"cycles": 1, "model.dim": 16, "clf.min_documents": 1000, "proxy.epochs": 1}
SUBJECTS = ("birds", "cells", "coins", "crystals", "engines", "glaciers", "opera", "ships", "storms", "tides")


def texts_and_labels(count: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Texts of one or two subjects, each with words of its own, and some words of none."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        subjects = sorted(rng.choice(SUBJECTS, rng.integers(1, 3), replace=False).tolist())
        words = [f"{s}{rng.integers(4)}" for s in subjects for _ in range(4)] + [f"and{rng.integers(9)}"]
        texts.append(" ".join(words))
        labels.append(subjects)
    return texts, labels


def works_in_volumes(count: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Texts of 60 works in volumes: every work has words and two subjects of its own, and no word tells a subject."""
    rng, texts, labels = np.random.default_rng(1), [], []
    works = [(rng.choice(40, 6, replace=False), rng.choice(SUBJECTS, 2, replace=False)) for _ in range(60)]
    rng = np.random.default_rng(seed)
    for _ in range(count):
        words, subjects = works[rng.integers(60)]
        some = rng.choice(words, 5, replace=False)
        texts.append(" ".join([*(f"word{w}" for w in some), f"and{rng.integers(9)}"]))
        labels.append(sorted(subjects.tolist()))
    return texts, labels


MAKERS = {"subjects": texts_and_labels, "works": works_in_volumes}


@cache
def run(what: str = "subjects") -> Path:
    """Train on 240 texts, of works 600, measured on 80; return the root. The run is the last one there."""
    root = Path(tempfile.mkdtemp(prefix="xmlcli-tests-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    folder = root / "data" / what
    folder.mkdir(parents=True)
    for split, count in (("train", 240 if what == "subjects" else 600), ("test", 80)):
        pairs = zip(*MAKERS[what](count, len(split)), strict=True)
        lines = [json.dumps({"text": text, "labels": labels}) for text, labels in pairs]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    config = load_config(PROJECT / "pipelines" / "default.yaml", SMALL)
    session = Session(Workspace(root, what), config, device="cpu", overrides=SMALL)
    calls = plan(session.config, RunId(str(folder)))
    runner.run(session, calls, calls)
    return root


def trained(what: str = "subjects") -> TrainedRun:
    """The evaluated run."""
    return TrainedRun(published(Workspace(run(what), what)))


@cache
def contents() -> ModelContents:
    return trained().contents()


@cache
def folder() -> Path:
    """The model's folder."""
    path = run() / "exported"
    Model.of(contents()).save(path)
    return path
