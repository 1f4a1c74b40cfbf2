"""From the artifacts of a run to a model: opened as it is for prediction, or made small to be carried."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.config.overrides import flatten
from xmlcli.config.sections import Config
from xmlcli.features.tfidf import inverse_document_frequency
from xmlcli.label_embeddings.word_centroids import without_smallest
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.scores import Combination
from xmlcli.runs.plan import find_call
from xmlcli.serving.contents import Frontend, ModelContents, make_contents
from xmlcli.serving.model import Model
from xmlcli.shortlists.make_index import LabelVectors
from xmlcli.stages.call import Call
from xmlcli.stages.evaluate import load_engine
from xmlcli.stages.job import Job
from xmlcli.storage import artifacts
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.workspace import Workspace


class Trained:
    """An evaluated run: its engine, and what belongs to it."""

    def __init__(self, workspace: Workspace, config: Config, calls: list[Call], *, cycle: int | None = None) -> None:
        """Open the run's evaluation of a cycle, the last one by default. Raises ArtifactError where it is absent."""
        call = find_call(calls, "evaluate", config.cycles if cycle is None else cycle)
        self._config = config
        command = f"xmlcli train {call.run.options}"
        self._job = Job(call, workspace, config, makers=dict.fromkeys(call.inputs, command))
        self._prepared = self._job.read("prepared")
        self._evaluation: Artifact = artifacts.read(workspace.artifact(call.output), "evaluation", made_by=command)

    def model(self) -> Model:
        """Return the model with its full float32 matrices."""
        return Model(self._engine(), self._frontend())

    def parts(self) -> ModelContents:
        """Return the model made small."""
        engine, by_words = self._engine(), self._config.shortlist.backend == "words"
        words = self._prepared.csr("label_words.npz") if by_words else None
        labels = self._job.read("labels")
        return make_contents(
            engine,
            vectors=LabelVectors(labels.array("Z.npy", mmap=True), labels.array("bonus.npy"), words),
            shortlist=self._config.shortlist,
            voters=None if engine.voters is None else without_smallest(self._prepared.csr("X_train.npz")),
            frontend=self._frontend(),
            about=self._about(),
        )

    def artifacts(self) -> list[Artifact]:
        """Return the artifacts that prediction needs files of."""
        return [self._prepared, self._job.read("clf"), self._job.read("labels"), self._evaluation]

    def _engine(self) -> Engine:
        combination = Combination(**self._evaluation.json("calibration.json"))
        return load_engine(self._job, self._prepared, combination)

    def _frontend(self) -> Frontend:
        return Frontend(self._json("features.json"), self._idf(), self._json("labels.json"))

    def _json(self, name: str) -> Any:
        return self._prepared.json(name) if self._prepared.has(name) else None

    def _idf(self) -> npt.NDArray[np.float32] | None:
        """Return the weights that prepare gave to given features: those of all training documents."""
        if self._prepared.has("features.json") or not self._config.prepare.use_idf:
            return None
        return inverse_document_frequency(
            sp.vstack([self._prepared.csr("X_train.npz"), self._prepared.csr("X_validation.npz")], format="csr")
        )

    def _about(self) -> dict[str, Any]:
        data = dict(self._prepared.json("prepared.json"))
        sections = ("seed", "cycles", "prepare", "model", "proxy", "shortlist", "clf", "linear", "evaluate")
        return {
            "dataset": data.pop("dataset"),
            "data": data,
            "metrics": self._evaluation.json("metrics.json"),
            "parameters": flatten(self._config.parameters(sections)),
        }
