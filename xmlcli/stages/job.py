"""The contract of a stage: what it is given and what it must do.

A stage is a module `xmlcli/stages/<stage>.py` (dashes become underscores) with

    VERSION: int                raised by hand when the same inputs would give another output
    SECTIONS: tuple[str, ...]   sections and top-level keys of the pipeline file it depends on; write both as
                                literals, they are read without importing the module
    def run(job: Job) -> None

`run` reads its inputs with `job.read(kind)`, calls algorithms, and writes exactly one artifact with `job.write()`:

    from xmlcli.stages.job import Job

    VERSION = 1
    SECTIONS = ("seed", "shortlist")

    def run(job: Job) -> None:
        prepared, clf, labels = job.read("prepared"), job.read("clf"), job.read("labels")
        X = prepared.csr("X_train.npz")                          # float32 CSR (N, F)
        model = load_encoder(clf.tensors("model.safetensors"))   # name -> torch.Tensor, on the CPU
        indices, scores = nearest(encode(model, X, progress=job.progress), labels.array("Z.npy"), job.config.shortlist)
        job.notes["documents"] = X.shape[0]                      # shown in runs/, never part of the artifact
        with job.write() as out:                                 # all files, then the block ends: it is there
            out.array("indices.npy", indices)
            out.array("scores.npy", scores)
            out.json("report.json", {"recall": 0.9})

The files, dtypes and shapes of each kind stand in `storage/kinds.py`; writing anything else raises. What is written
holds content only: no time, host, path or version, and the same bytes whenever inputs and parameters are the same.

Checkpoints go into `job.scratch`, through `files.atomic_file`. The folder is there before `run` starts, survives
kill -9, is emptied when anything the output depends on has changed, and is removed when the output is complete. A
stage that finds its checkpoint there goes on from it and must end with the same bytes as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from xmlcli.config.sections import Config
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.progress import Progress, silent
from xmlcli.stages.call import Call
from xmlcli.storage import artifacts, writing
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.workspace import Workspace

LABEL_ROWS_NOTE = "label_rows_held"
PREDICT_NOTE = "predict_ms_per_document"
"""The note of the stage evaluate that holds milliseconds a test document, encoding to final ranking."""


@dataclass(frozen=True)
class Job:
    """A call about to run, with all it may use.

    `device` is "cpu" or "cuda". `makers` maps each input's kind to the command that makes it. `notes` takes figures
    for runs/<run>/<call>.json that are no content of the artifact, such as seconds spent on a part. `ranks` are the
    processes that run the call together, all with the same job.
    """

    call: Call
    workspace: Workspace
    config: Config
    device: str = "cpu"
    ranks: Ranks = ALONE
    progress: Progress = silent
    makers: Mapping[str, str] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)
    _read: dict[str, Artifact] = field(default_factory=dict, repr=False)

    @property
    def scratch(self) -> Path:
        """The folder for this call's checkpoints."""
        return self.workspace.scratch(self.call.name)

    def has(self, kind: str) -> bool:
        """Whether the call has an input of this kind (the first cycle has no earlier `labels`)."""
        return kind in self.call.inputs

    def note_label_rows(self, own: int) -> None:
        """Note the most rows that any of several ranks held of a table with a row for each label."""
        if self.ranks.size > 1:
            self.notes[LABEL_ROWS_NOTE] = self.ranks.max_over_ranks(own)

    def read(self, kind: str) -> Artifact:
        """Return the verified input of that kind.

        Raises ArtifactError where it is absent, damaged, or its shapes disagree with the inputs read before.
        """
        folder = self.workspace.artifact(self.call.inputs[kind])
        self._read[kind] = artifacts.read(folder, kind, made_by=self.makers.get(kind, "xmlcli train"))
        artifacts.check_agree(self._read)
        return self._read[kind]

    def write(self) -> AbstractContextManager[writing.Writer]:
        """Return a context manager that gives a Writer of the call's output and makes it appear at the end."""
        return writing.writer(self.workspace.artifact(self.call.output), self.call.output.kind, self.ranks)
