"""The contents of an exported model: quantised matrices, label names and settings.

Training documents are part of it only where they have kNN votes, and then only as term weights and labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats
from xmlcli.config.retired import ADDED
from xmlcli.config.schema import OneOf, Problem, build
from xmlcli.config.sections import Count, ShortlistConfig
from xmlcli.encoder.numpy_encoder import DocumentEncoder
from xmlcli.errors import ArtifactError
from xmlcli.features.name_stems import name_stems
from xmlcli.features.tfidf import TextFeatures
from xmlcli.kernels.name_scores import NameStems
from xmlcli.kernels.products import QuantisedDense
from xmlcli.kernels.quantised import QuantisedRows
from xmlcli.prediction.combination import PRODUCTS, Combination
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.scores import Scores
from xmlcli.prediction.votes import Voters, make_voters
from xmlcli.shortlists.make_index import SearchVectors, make_index, searchable_labels


@dataclass(frozen=True)
class Frontend:
    """What lies between the user and the engine: how documents become rows of features, and what labels are called.

    Attributes:
        vocabulary: the argument of `TextFeatures.from_json`, or None where documents are rows of features.
        idf: float32 (F,), weights of such features, or None.
        label_names: L names, or None.
    """

    vocabulary: Mapping[str, Any] | None
    idf: Floats | None
    label_names: Sequence[str] | None

    @cached_property
    def features(self) -> TextFeatures | None:
        """What makes rows of texts, or None. Raises ArtifactError where the vocabulary is of unknown form."""
        return None if self.vocabulary is None else TextFeatures.from_json(self.vocabulary)

    def stems(self) -> NameStems | None:
        """Return the stems of the labels' names, or None where documents or labels have no words. Raises as above."""
        if self.features is None or self.label_names is None:
            return None
        return name_stems(self.features, self.label_names)


@dataclass(frozen=True)
class ModelSettings:
    """The settings that prediction needs, of the forms that a pipeline file's have.

    Attributes:
        activation: of the encoder.
        size: labels on a document's shortlist.
        shortlist: how labels are searched.
    """

    activation: Annotated[str, OneOf("gelu", "relu")]
    size: Count
    shortlist: ShortlistConfig


def settings_to_json(settings: ModelSettings, combination: Combination) -> dict[str, Any]:
    """Return what `settings_from_json` takes."""
    return asdict(settings) | {"combination": combination.to_json()}


def settings_from_json(saved: object) -> tuple[ModelSettings, Combination]:
    """Undo `settings_to_json`. Raises ArtifactError that lists what is wrong."""
    if not isinstance(saved, dict):
        raise ArtifactError("settings of unknown form", expected="a mapping", found=type(saved).__name__)
    problems: list[Problem] = []
    values = {key: value for key, value in saved.items() if key != "combination"}
    if isinstance(saved.get("shortlist"), dict):
        values["shortlist"] = {"unseen_labels": ADDED["shortlist.unseen_labels"], **saved["shortlist"]}
    settings = build(ModelSettings, values, problems)
    if settings is None:
        raise ArtifactError(
            "settings of unknown form", found="; ".join(f"{problem.key}: {problem.text}" for problem in problems)
        )
    return settings, Combination.from_json(saved.get("combination"))


@dataclass(frozen=True)
class ModelContents:
    """A model that needs no artifacts.

    Attributes:
        tokens: token vectors of the encoder, (F, D).
        residual: the encoder's W (D, D) and b (D,), float32, or None.
        weight, bias: classifiers, (L, D) and float32 (L,).
        Z: label embeddings, (L, D).
        bonus, frequencies: float32 (L,).
        words: word centroids of the labels, (L, F), or None.
        linear: linear one-vs-rest part, (L, F), or None.
        label_text: features of the labels' own texts, (L, F), or None.
        voters, voters_labels: terms (N, F) and labels (N, L) of the training documents with kNN votes, or None.
        frontend: documents and labels as the user sees them.
        settings, combination: how the matrices are used.
        about: JSON for the card: dataset, figures, all settings.
    """

    tokens: QuantisedDense
    residual: tuple[Floats, Floats] | None
    weight: QuantisedDense
    bias: Floats
    Z: QuantisedDense
    bonus: Floats
    frequencies: Floats
    words: QuantisedRows | None
    linear: QuantisedRows | None
    label_text: QuantisedRows | None
    voters: QuantisedRows | None
    voters_labels: QuantisedRows | None
    frontend: Frontend
    settings: ModelSettings
    combination: Combination
    about: Mapping[str, Any] = field(default_factory=dict)

    def engine(self) -> Engine:
        """Return the engine that these matrices and settings make."""
        words = None if self.words is None else self.words.floats()
        config = self.settings.shortlist
        encoder = DocumentEncoder(self.tokens, self.residual, self.settings.activation)
        vectors, searchable = SearchVectors(self.Z, self.bonus, words), searchable_labels(self.frequencies, config)
        return Engine(
            encoder,
            make_index(vectors, searchable, config, in_order=False),
            Scores(self.weight, self.bias, self.Z, self.frequencies, self.linear, self.label_text, self._stems()),
            min(self.settings.size, len(self.bias)),
            self.combination,
            self._voters(encoder, config, self.combination.voters),
        ).with_unseen(config)

    def check_parts(self) -> None:
        """Raise ArtifactError where the settings name matrices that are not there, or the other way round."""
        lacks = []
        if self.settings.shortlist.backend == "words" and self.words is None:
            lacks.append("words, by which labels are searched")
        if len({self.voters is None, self.voters_labels is None, self.combination.voters == 0}) > 1:
            lacks.append("terms, labels or number of the documents with kNN votes")
        scores = {"linear": self.linear, "text_share": self.label_text, "votes": self.voters}
        if self.combination.unseen is not None and self.label_text is None:
            lacks.append("texts of the labels without documents")
        absent = {name for name, matrix in scores.items() if matrix is None}
        lacks += [
            f"the score of {name}" for name in PRODUCTS if self.combination.uses(name) and absent & {*name.split("*")}
        ]
        if lacks:
            raise ArtifactError("parts of a model are missing", found="; ".join(lacks))

    def _stems(self) -> NameStems | None:
        if not self.combination.uses_names():
            return None
        stems = self.frontend.stems()
        if stems is None and self.combination.uses("name_share*frequency"):  # the coefficients by default have none
            raise ArtifactError("parts of a model are missing", found="label names with words of the vocabulary")
        return stems

    def _voters(self, encoder: DocumentEncoder, config: ShortlistConfig, count: int) -> Voters | None:
        if self.voters is None or self.voters_labels is None:
            return None
        count = min(count, len(self.voters.scale))
        return make_voters(self.voters.floats(), encoder.unit, self.voters_labels.floats(), config, count)


def make_contents(
    engine: Engine,
    *,
    vectors: SearchVectors,
    shortlist: ShortlistConfig,
    voters: sp.csr_matrix | None,
    frontend: Frontend,
    about: Mapping[str, Any],
) -> ModelContents:
    """Quantise what an engine holds.

    Args:
        engine: with float32 matrices and a fitted combination.
        vectors, shortlist: what the engine's index was made of.
        voters: terms of the training documents with kNN votes, float32 CSR (N, F), or None where the engine has none.
        frontend, about: as in `ModelContents`.
    """
    encoder, scores, num_features = engine.encoder, engine.scores, engine.encoder.tokens.shape[0]
    assert engine.combination is not None, "the combination has been fitted"
    assert isinstance(scores, Scores), "one process holds all labels"

    def rows(W: sp.csr_matrix | QuantisedRows | None, num_columns: int = num_features) -> QuantisedRows | None:
        return W if W is None or isinstance(W, QuantisedRows) else QuantisedRows.of(W, num_columns=num_columns)

    return ModelContents(
        tokens=QuantisedDense.of(encoder.tokens),
        residual=encoder.residual,
        weight=QuantisedDense.of(scores.weight),
        bias=np.asarray(scores.bias, np.float32),
        Z=QuantisedDense.of(vectors.Z),
        bonus=vectors.bonus,
        frequencies=scores.frequencies,
        words=rows(vectors.words),
        linear=rows(scores.linear),
        label_text=rows(scores.label_text),
        voters=rows(voters),
        voters_labels=None if engine.voters is None else rows(engine.voters.labels, len(scores.frequencies)),
        frontend=frontend,
        settings=ModelSettings(engine.encoder.activation, engine.size, shortlist),
        combination=engine.combination,
        about=about,
    )
