"""A run and its stage calls: the elements of a plan."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xmlcli.storage.workspace import Ref


@dataclass(frozen=True)
class RunId:
    """A dataset and a profile, which together own one folder below artifacts/.

    `dataset` is a name or a path. `profile` None stands for the dataset's own pipeline, or for the default one.
    `called` is the run's name where it has one of its own.
    """

    dataset: str
    profile: str | None = None
    called: str | None = None

    @property
    def name(self) -> str:
        """The run's name: its own, or the dataset's, and `-<profile>` if a profile other than the default is given."""
        if self.called is not None:
            return self.called
        plain = self.dataset_name
        return plain if self.profile in (None, "default") else f"{plain}-{self.profile}"

    @property
    def dataset_name(self) -> str:
        """The dataset's name in small letters. A path is named after its last folder, or its file without suffixes."""
        path = Path(self.dataset)
        if os.sep not in self.dataset and self.dataset not in (".", "..", "~") and not path.is_file():
            return self.dataset.lower()
        path = path.expanduser().resolve()
        return (path.name.split(".")[0] or path.name if path.is_file() else path.name).lower()

    @property
    def options(self) -> str:
        """The options that name this run on the command line."""
        profile = f" --profile {self.profile}" if self.profile else ""
        called = f" --name {self.called}" if self.called else ""
        return f"--dataset {shlex.quote(self.dataset)}{profile}{called}"


@dataclass(frozen=True)
class Call:
    """One stage call of a plan; `inputs` maps each input's kind to the artifact."""

    stage: str
    run: RunId
    cycle: int | None
    output: Ref
    inputs: Mapping[str, Ref] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The call's name within its run: `prepare`, `train-clf-2`."""
        return self.stage if self.cycle is None else f"{self.stage}-{self.cycle}"

    @property
    def dvc_name(self) -> str:
        """The name of the same call in dvc.yaml: `prepare@demo`, `train-clf@demo-2`."""
        return f"{self.stage}@{self.run.name}" + ("" if self.cycle is None else f"-{self.cycle}")

    @property
    def command(self) -> str:
        """The command that runs this call alone."""
        return f"xmlcli {self.stage} {self.run.options}" + ("" if self.cycle is None else f" --cycle {self.cycle}")
