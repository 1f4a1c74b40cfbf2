"""From a complete training to a model: opened as it is for prediction, or quantised for export."""

from __future__ import annotations

from typing import Any

from xmlcli.arrays import Floats
from xmlcli.config.overrides import flatten
from xmlcli.distributed.ranks import ALONE
from xmlcli.features.tfidf import inverse_document_frequency
from xmlcli.label_embeddings.word_centroids import without_smallest
from xmlcli.prediction.combination import Combination
from xmlcli.prediction.engine import Engine
from xmlcli.runs.plan import find_call
from xmlcli.runs.snapshot import Training
from xmlcli.serving.contents import Frontend, ModelContents, make_contents
from xmlcli.serving.model import Model
from xmlcli.shortlists.make_index import SearchVectors
from xmlcli.stages.engine import ModelArtifacts, load_engine
from xmlcli.stages.inputs import label_words, learnt_from, matrix
from xmlcli.storage import artifacts
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.verification import verify_opened


class TrainedRun:
    """An evaluated run: its engine, and what belongs to it."""

    def __init__(self, training: Training, *, cycle: int | None = None) -> None:
        """Open a training's evaluation of a cycle, the last one by default.

        Raises UsageError where there is none of that cycle, ArtifactError where an artifact is not the training's, or a
        file of it is damaged.
        """
        self._config = training.config
        call = find_call(training.plan, "evaluate", self._config.cycles if cycle is None else cycle)
        self._evaluation = training.read(call.output)
        inputs = {kind: training.read(ref) for kind, ref in call.inputs.items()}
        artifacts.check_agree(inputs)
        self._combination = inputs.pop("combination")
        self._inputs = ModelArtifacts(**inputs)
        verify_opened(self.artifacts(), training.verified_path)

    def model(self) -> Model:
        """Return the model with its full float32 matrices."""
        return Model(self._engine(), self._frontend(), about=self._about())

    def contents(self) -> ModelContents:
        """Return the quantised model that is exported."""
        engine, by_words = self._engine(), self._config.shortlist.backend == "words"
        prepared, labels = self._inputs.prepared, self._inputs.labels
        documents = learnt_from(self._inputs.clf)
        words = label_words(prepared, documents, ALONE) if by_words else None
        return make_contents(
            engine,
            vectors=SearchVectors(labels.array("Z.npy", mmap=True), labels.array("bonus.npy"), words),
            shortlist=self._config.shortlist,
            voters=None if engine.voters is None else without_smallest(
                matrix(prepared, "X_train.npz", documents, ALONE)
            ),
            frontend=self._frontend(),
            about=self._about(),
        )

    def artifacts(self) -> list[Artifact]:
        """Return the artifacts that prediction needs files of."""
        return [*self._inputs, self._combination, self._evaluation]

    def _engine(self) -> Engine:
        combination = Combination.from_json(self._combination.json("combination.json"))
        return load_engine(self._inputs, self._config, combination)

    def _frontend(self) -> Frontend:
        return Frontend(self._json("features.json"), self._idf(), self._json("labels.json"))

    def _json(self, name: str) -> Any:
        return self._inputs.prepared.json(name) if self._inputs.prepared.has(name) else None

    def _idf(self) -> Floats | None:
        """Return the weights that prepare gave to given features: those of all training documents."""
        if self._inputs.prepared.has("features.json") or not self._config.prepare.use_idf:
            return None
        return inverse_document_frequency(self._inputs.prepared.csr("X_train.npz"))

    def _about(self) -> dict[str, Any]:
        data = dict(self._inputs.prepared.json("prepared.json"))
        sections = ("seed", "cycles", "prepare", "model", "proxy", "shortlist", "clf", "linear", "evaluate")
        return {
            "dataset": data.pop("dataset"),
            "data": data,
            "metrics": self._evaluation.json("metrics.json"),
            "parameters": flatten(self._config.parameters(sections)),
        }
