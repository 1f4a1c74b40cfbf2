"""Labels without training documents through a whole run: fitted, measured, exported, and turned off."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from support.paths import PROJECT

from xmlcli.config.load import load_config
from xmlcli.runs import runner
from xmlcli.runs.plan import plan
from xmlcli.runs.runner import Session
from xmlcli.runs.snapshot import published
from xmlcli.runs.trained_run import TrainedRun
from xmlcli.serving.model import Model, load
from xmlcli.stages.call import RunId
from xmlcli.storage.workspace import Workspace

NUM_LABELS, UNSEEN = 30, (4, 17)
SETTINGS = {
    "cycles": 1,
    "model.dim": 16,
    "clf.min_documents": 1000,
    "proxy.epochs": 1,
    "prepare.validation_fraction": 0.3,
}


def name(label: int) -> str:
    return f"{chr(97 + label % 26)}{chr(97 + label // 26)}subject"


def write(folder: Path) -> None:
    """Documents name their labels, half of the time; no training document carries an unseen label."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("trn", 400), ("tst", 100)):
        lines = []
        for row in range(count):
            labels = sorted(rng.choice(NUM_LABELS, 2, replace=False).tolist())
            words = [f"{name(label)} {name(label)}" for label in labels] + [f"word{w}" for w in rng.integers(0, 30, 3)]
            kept = [label for label in labels if split == "tst" or label not in UNSEEN]
            lines.append(
                {
                    "uid": str(row),
                    "title": " ".join(words),
                    "content": "",
                    "target_ind": kept,
                    "target_rel": [1.0] * len(kept),
                }
            )
        (folder / f"{split}.json.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    names = [{"uid": str(label), "title": name(label)} for label in range(NUM_LABELS)]
    (folder / "lbl.json.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, names)).encode()))


def trained(root: Path, **more: object) -> TrainedRun:
    config = load_config(PROJECT / "pipelines" / "default.yaml", SETTINGS | more)
    session = Session(Workspace(root, "unseen"), config, device="cpu", overrides=SETTINGS | more)
    calls = plan(session.config, RunId(str(root / "data" / "unseen")))
    runner.run(session, calls, calls)
    return TrainedRun(published(session.workspace))


def test_unseen_labels_are_predicted_by_a_run_and_by_the_model_it_exports(tmp_path: Path) -> None:
    write(tmp_path / "data" / "unseen")
    run = trained(tmp_path)
    text = f"{name(4)} {name(4)} {name(7)} {name(7)} word3 word4"
    told = dict(run.model().predict([text], 2)[0])
    assert told.keys() == {name(4), name(7)}
    assert told[name(4)] > 0.5
    Model.of(run.contents()).save(tmp_path / "model")
    assert dict(load(tmp_path / "model").predict([text], 2)[0]) == pytest.approx(told, abs=0.05)
    without = trained(tmp_path, **{"shortlist.unseen_labels": False}).model()
    assert name(4) not in dict(without.predict([text], NUM_LABELS)[0])
