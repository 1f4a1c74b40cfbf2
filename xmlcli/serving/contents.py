"""The parts a trained model is made of, as they are carried: small matrices, label names and settings.

Of the training documents there are words' weights and labels where they vote, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats
from xmlcli.config.sections import ShortlistConfig
from xmlcli.encoder.numpy_encoder import DocumentEncoder
from xmlcli.kernels.products import CompactDense
from xmlcli.kernels.quantised import CompactRows
from xmlcli.prediction.combination import Combination
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.scores import Scores
from xmlcli.prediction.votes import Voters, make_voters
from xmlcli.shortlists.make_index import SearchVectors, make_index, searchable_labels


@dataclass(frozen=True)
class ModelContents:
    """A model that needs no artifacts.

    Attributes:
        tokens: of the encoder, (F, D); residual: W (D, D) and b (D,), float32, or None.
        weight: classifiers, (L, D); bias: float32 (L,).
        Z: label embeddings, (L, D).
        bonus, frequencies: float32 (L,).
        words, linear, label_text: (L, F) each, or None.
        voters, voters_labels: words (N, F) and labels (N, L) of the training documents that vote, or None.
        idf: float32 (F,), weights of given features, or None where the features are words.
        vocabulary: what `TextFeatures.from_json` takes, or None.
        label_names: L names, or None.
        settings: JSON: activation, shortlist, size, combination.
        about: JSON for the card: dataset, figures, all settings.
    """

    tokens: CompactDense
    residual: tuple[Floats, Floats] | None
    weight: CompactDense
    bias: Floats
    Z: CompactDense
    bonus: Floats
    frequencies: Floats
    words: CompactRows | None
    linear: CompactRows | None
    label_text: CompactRows | None
    voters: CompactRows | None
    voters_labels: CompactRows | None
    idf: Floats | None
    vocabulary: Mapping[str, Any] | None
    label_names: list[str] | None
    settings: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)

    def engine(self) -> Engine:
        """Return the Engine that these parts make."""
        words = None if self.words is None else self.words.floats()
        config = ShortlistConfig(**self.settings["shortlist"])
        encoder = DocumentEncoder(self.tokens, self.residual, self.settings["activation"])
        combination = Combination(**self.settings["combination"])
        vectors, searchable = SearchVectors(self.Z, self.bonus, words), searchable_labels(self.frequencies, config)
        return Engine(
            encoder,
            make_index(vectors, searchable, config, in_order=False),
            Scores(self.weight, self.bias, self.Z, self.frequencies, self.linear, self.label_text),
            int(self.settings["size"]),
            combination,
            self._voters(encoder, config, combination.voters),
        )

    def _voters(self, encoder: DocumentEncoder, config: ShortlistConfig, count: int) -> Voters | None:
        if self.voters is None or self.voters_labels is None:
            return None
        return make_voters(self.voters.floats(), encoder.unit, self.voters_labels.floats(), config, count)


def make_contents(
    engine: Engine,
    *,
    bonus: Floats,
    words: sp.csr_matrix | None,
    voters: sp.csr_matrix | None,
    shortlist: ShortlistConfig,
    idf: Floats | None,
    vocabulary: Mapping[str, Any] | None,
    label_names: list[str] | None,
    about: Mapping[str, Any],
) -> ModelContents:
    """Make small what an Engine holds; its combination has been fitted.

    Args:
        engine: with float32 matrices, as the stage evaluate loads it.
        bonus: float32 (L,), of the labels in the search.
        words: the labels' word centroids, float32 CSR (L, F), which the index searches, or None.
        voters: words of the training documents that vote, float32 CSR (N, F), where the engine has voters.
        shortlist: how the index was made.
        idf, vocabulary, label_names, about: as in `ModelContents`.
    """
    encoder, scores, num_features = engine.encoder, engine.scores, engine.encoder.tokens.shape[0]
    assert engine.combination is not None, "the combination has been fitted"
    assert isinstance(scores, Scores), "one process holds all labels"

    def rows(W: sp.csr_matrix | CompactRows | None, num_columns: int = num_features) -> CompactRows | None:
        return W if W is None or isinstance(W, CompactRows) else CompactRows.of(W, num_columns=num_columns)

    return ModelContents(
        tokens=CompactDense.of(encoder.tokens),
        residual=encoder.residual,
        weight=CompactDense.of(scores.weight),
        bias=np.asarray(scores.bias, np.float32),
        Z=CompactDense.of(scores.Z),
        bonus=bonus,
        frequencies=scores.frequencies,
        words=rows(words),
        linear=rows(scores.linear),
        label_text=rows(scores.label_text),
        voters=rows(voters),
        voters_labels=None if engine.voters is None else rows(engine.voters.labels, len(scores.frequencies)),
        idf=idf,
        vocabulary=vocabulary,
        label_names=label_names,
        settings=_settings(engine, engine.combination, shortlist),
        about=about,
    )


def _settings(engine: Engine, combination: Combination, shortlist: ShortlistConfig) -> dict[str, Any]:
    return {
        "activation": engine.encoder.activation,
        "shortlist": asdict(shortlist),
        "size": engine.size,
        "combination": combination.to_json(),
    }
