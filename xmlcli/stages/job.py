"""The contract of a stage: what it is given and what it must do.

A stage is a module `xmlcli/stages/<stage>.py` (dashes become underscores) with

    VERSION: int                raised by hand when the same inputs would give another output
    SECTIONS: tuple[str, ...]   sections and top-level keys of the pipeline file it depends on; write both as
                                literals, they are read without importing the module
    def run(job: Job) -> None

`run` reads its inputs with `job.read(kind)`, calls algorithms, and writes exactly one artifact with `job.write()`. Here
is a whole stage, which puts the most frequent labels on every shortlist:

    import numpy as np

    from xmlcli.stages.job import Job

    VERSION = 1
    SECTIONS = ("shortlist",)

    def run(job: Job) -> None:
        Y = job.read("prepared").csr("Y_train.npz")              # float32 CSR (N, L)
        counts = Y.getnnz(axis=0)
        top = np.argsort(-counts, kind="stable")[: job.config.shortlist.size].astype(np.int32)
        job.notes["labels"] = len(top)                           # shown in runs/, never part of the artifact
        with job.write() as out:                                 # the artifact appears when the block ends
            out.array("indices.npy", np.tile(top, (Y.shape[0], 1)))
            out.array("scores.npy", np.tile(counts[top].astype(np.float32), (Y.shape[0], 1)))
            out.json("report.json", {"recall": counts[top].sum() / Y.nnz})

`storage/kinds.py` lists the files, dtypes and shapes of each kind; writing anything else raises. An artifact holds
content only, no time, host, path or version. The same inputs and parameters give the same bytes.

Checkpoints go into `job.scratch`, through `atomic.atomic_file` and sealed (`stages/sealed_tensors.py`): one that is
damaged is set aside, never an error. The folder exists before `run` starts and survives
kill -9. It is emptied when anything that the output depends on has changed, and removed when the output is complete. A
stage that finds its checkpoint there continues from it, and must end with the same bytes as one that was never stopped.
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
from xmlcli.storage.verification import verify_opened
from xmlcli.storage.workspace import Workspace

LABEL_ROWS_NOTE = "label_rows_held"
PREDICT_NOTE = "predict_ms_per_document"
"""A note of the stage evaluate: milliseconds for each test document, from encoding to the final ranking."""


@dataclass(frozen=True)
class Job:
    """A call about to run, with all that it may use.

    Attributes:
        call: the stage call.
        workspace: where the run's files lie.
        config: the whole pipeline file.
        device: "cpu" or "cuda".
        ranks: the processes that run the call together, all with the same job.
        progress: called with the work's name, how much of it is done, and how much there is.
        makers: kind of an input → the command that makes it.
        notes: figures for runs/<run>/<call>.json that are no content of the artifact, such as seconds.
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
        """Whether the call has an input of this kind: the first cycle has no earlier `labels`."""
        return kind in self.call.inputs

    def note_label_rows(self, own: int) -> None:
        """Note how many rows of a table with a row for each label the ranks hold at most; `own` are this rank's."""
        if self.ranks.size > 1:
            self.notes[LABEL_ROWS_NOTE] = self.ranks.max_over_ranks(own)

    def read(self, kind: str) -> Artifact:
        """Return the verified input of that kind.

        Raises ArtifactError if it is absent or damaged, or if its shapes disagree with inputs that were read before,
        and PermissionError if a file of it may not be read.
        """
        folder = self.workspace.artifact(self.call.inputs[kind])
        artifact = artifacts.read(folder, kind, made_by=self.makers.get(kind, "xmlcli train"))
        verify_opened([artifact], self.workspace.verified_path, self.progress)
        self._read[kind] = artifact
        artifacts.check_agree(self._read)
        return self._read[kind]

    def write(self) -> AbstractContextManager[writing.Writer]:
        """Return a context manager that yields a `Writer` of the call's output, which appears when the block ends."""
        folder, kind = self.workspace.artifact(self.call.output), self.call.output.kind
        return writing.writer(folder, kind, self.ranks, verified=self.workspace.verified_path)
