"""The example of a stage in the docstring of `xmlcli.stages.job` runs as it stands there."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
from support import tiny_dataset

from xmlcli.runs.plan import find_call
from xmlcli.stages import job as contract
from xmlcli.stages.job import Job
from xmlcli.storage import artifacts
from xmlcli.storage.workspace import Workspace


def example() -> ModuleType:
    """Make a module of the indented block that begins with an import."""
    assert contract.__doc__
    found = re.search(r"^    import numpy.*?(?=^\S)", contract.__doc__, re.MULTILINE | re.DOTALL)
    assert found
    module = ModuleType("example")
    exec(textwrap.dedent(found[0]), module.__dict__)
    return module


def test_the_example_writes_a_shortlist_of_the_most_frequent_labels(tmp_path: Path) -> None:
    stage = example()
    assert (type(stage.VERSION), type(stage.SECTIONS)) == (int, tuple)
    session, calls = tiny_dataset.opened(
        tiny_dataset.finished_root("default"), tiny_dataset.shared_dataset(), "default", shortlist__size=4
    )
    call = find_call(calls, "shortlist", 1)
    prepared = artifacts.read(session.workspace.artifact(call.inputs["prepared"]), "prepared", made_by="")
    workspace = Workspace(tmp_path, session.workspace.run)
    workspace.artifact(call.inputs["prepared"]).parent.mkdir(parents=True)
    workspace.artifact(call.inputs["prepared"]).symlink_to(prepared.folder)
    job = Job(replace(call, inputs={"prepared": call.inputs["prepared"]}), workspace, session.config)
    stage.run(job)
    written = artifacts.read(workspace.artifact(call.output), "shortlist", made_by="")
    counts = prepared.csr("Y_train.npz").getnnz(axis=0)
    indices = written.array("indices.npy")
    assert indices.shape == (prepared.dims["N"], 4)
    assert sorted(counts[indices[0]]) == sorted(np.sort(counts)[-4:])
    assert 0 < written.json("report.json")["recall"] < 1
    assert job.notes == {"labels": 4}
