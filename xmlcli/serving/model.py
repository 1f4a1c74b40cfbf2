"""`xmlcli.Model`: texts or feature vectors in, label names and probabilities out. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from xmlcli.arrays import Floats, Ints
from xmlcli.errors import ArtifactError, UsageError
from xmlcli.features.given import given_rows
from xmlcli.kernels.row_weights import weigh_rows
from xmlcli.prediction.combination import log_odds
from xmlcli.prediction.engine import Engine
from xmlcli.progress import Progress, silent
from xmlcli.serving import model_folder
from xmlcli.serving.contents import Frontend, ModelContents

Documents: TypeAlias = Sequence[str] | sp.csr_matrix
Predictions: TypeAlias = list[list[tuple[str, float]]]


class Model:
    """A trained model, ready to predict.

    Attributes:
        contents: what it was loaded from, or None where it was opened from a run's artifacts.
        about: the dataset, the figures and the settings of its training, as the card has them.
        label_names: L names; a label without a name is called by its number.
        num_labels: L.
        num_features: F.
        gives_probabilities: whether scores are probabilities; those of the authors' combination are not.
    """

    def __init__(
        self,
        engine: Engine,
        frontend: Frontend,
        *,
        contents: ModelContents | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a model of an engine, whose combination has been fitted."""
        assert engine.combination is not None, "the combination has been fitted"
        self._engine, self._idf = engine, frontend.idf
        self._features = frontend.features
        self._curve = engine.combination.curve
        self.gives_probabilities = engine.combination.kind == "logistic"
        self.contents = contents
        self.about = about or {}
        self.num_labels = len(engine.scores.frequencies)
        self.num_features = engine.encoder.tokens.shape[0]
        if self._features is not None and len(self._features.idf) != self.num_features:
            raise ArtifactError(
                "the vocabulary is of another model",
                expected=f"{self.num_features:,} terms",
                found=f"{len(self._features.idf):,}",
            )
        self.label_names = list(frontend.label_names or map(str, range(self.num_labels)))

    @classmethod
    def of(cls, contents: ModelContents) -> Model:
        """Return the model that has these contents."""
        return cls(contents.engine(), contents.frontend, contents=contents, about=contents.about)

    def independent_of_blocks(self) -> Model:
        """Return the same model, slower, whose answer to a document does not depend on those asked with it.

        Otherwise the last bits of a score do, as sums that are shared are added up in another order.
        """
        model = copy(self)
        model._engine = self._engine.independent_of_blocks()
        return model

    @property
    def takes_text(self) -> bool:
        """Whether documents are texts; otherwise they are rows of F features."""
        return self._features is not None

    @property
    def text_column(self) -> str | None:
        """The column that texts were read from in training, several with commas between; None where not known."""
        parameters = self.about.get("parameters")
        column = parameters.get("prepare.text_column") if isinstance(parameters, Mapping) else None
        return column if isinstance(column, str) else None

    def __repr__(self) -> str:
        """Say what the model takes and gives."""
        takes = "texts" if self.takes_text else f"vectors of {self.num_features:,} features"
        return f"<xmlcli model: {takes} to {self.num_labels:,} labels>"

    def predict(self, documents: Documents, k: int = 5, *, threshold: float = 0.0) -> Predictions:
        """Return for each document its k best labels, best first, as (name, probability).

        Args:
            documents: texts, or for a model without words a CSR (N, F) of features weighted as in training data.
            k: at most so many labels; fewer where the shortlist holds no more.
            threshold: leave out labels of a smaller probability.

        Raises:
            UsageError: documents of the wrong kind or width, a feature that is not finite, or k or threshold of none.
        """
        check_threshold(threshold)
        labels, scores = self.top_k(documents, k)
        names, num_labels = self.label_names, self.num_labels
        return [
            [
                (names[label], score)
                for label, score in zip(*row, strict=True)
                if label < num_labels and score >= threshold
            ]
            for row in zip(labels.tolist(), scores.tolist(), strict=True)
        ]

    def top_k(self, documents: Documents, k: int, *, progress: Progress = silent) -> tuple[Ints, Floats]:
        """Return the k best labels of each document, int32 (N, k) padded with L, and probabilities, 0 for padding.

        The scores of the authors' combination are no probabilities, but lie between 0 and 1 too. Raises UsageError.
        """
        return self._probable(*self.top_k_log_odds(documents, k, progress=progress))

    def top_k_of(self, X: sp.csr_matrix, k: int) -> tuple[Ints, Floats]:
        """Return what `top_k` returns, for rows that `features` returned."""
        return self._probable(*self._ranked(X, k, silent))

    def _probable(self, labels: Ints, scores: Floats) -> tuple[Ints, Floats]:
        """Return labels with probabilities in place of log-odds."""
        probabilities = expit(scores) if self.gives_probabilities else np.maximum(scores, 0)
        return labels, probabilities.astype(np.float32)

    def top_k_log_odds(self, documents: Documents, k: int, *, progress: Progress = silent) -> tuple[Ints, Floats]:
        """Return the labels of `top_k` with their log-odds, or with the authors' sums; -inf for padding."""
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise UsageError("k has to be a whole number, 1 or more", found=repr(k))
        return self._ranked(self.features(documents), k, progress)

    def _ranked(self, X: sp.csr_matrix, k: int, progress: Progress) -> tuple[Ints, Floats]:
        """Return the k best labels of rows of features, and their log-odds."""
        k = min(k, self.num_labels)
        labels, scores = self._engine.top_k(X, k, progress=progress)
        return labels, log_odds(scores, self._curve)

    def features(self, documents: Documents) -> sp.csr_matrix:
        """Return the features of documents, float32 CSR (N, F) with unit rows. Raises UsageError."""
        if isinstance(documents, str):
            raise UsageError("documents are a list of texts", found="one text", remedy="put it in a list: [text]")
        if sp.issparse(documents) or (isinstance(documents, np.ndarray) and documents.ndim == 2):
            return self._weigh(documents)
        if not isinstance(documents, Iterable):
            raise UsageError("documents are a list of texts", found=type(documents).__name__)
        texts = list(documents)
        if self._features is None:
            raise self._no_words()
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise UsageError(
                    "a document is no text", where=f"documents[{row}]", expected="str", found=type(text).__name__
                )
        return self._features.transform(texts)

    def _weigh(self, documents: Any) -> sp.csr_matrix:
        if self._features is not None:
            raise UsageError("the model takes texts", found="a matrix of features")
        if documents.shape[1] != self.num_features:
            raise UsageError(
                "documents have another number of features than the model knows",
                expected=f"{self.num_features:,}",
                found=f"{documents.shape[1]:,}",
            )
        return weigh_rows(given_rows(documents), self._idf)

    def _no_words(self) -> UsageError:
        return UsageError(
            "the model knows no words: it was trained on feature vectors",
            expected=f"rows of {self.num_features:,} features, such as --input FILE.npz",
            found="text",
            remedy="make the vectors as those of the training data were made",
        )

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder of its own, atomically; an older model there is replaced.

        Raises:
            ArtifactError: something else lies there.
        """
        assert self.contents is not None, "a model opened from artifacts has to be exported"
        model_folder.write(Path(folder), self.contents)


def check_threshold(threshold: object) -> None:
    """Raise UsageError where that is no probability."""
    if isinstance(threshold, bool | np.bool_) or not isinstance(threshold, Real) or not 0 <= float(threshold) <= 1:
        raise UsageError("the threshold has to be a number from 0 to 1", found=repr(threshold))


def load(folder: str | Path) -> Model:
    """Load a model that `Model.save` or `xmlcli export` wrote.

    Raises:
        ArtifactError: there is none, it is damaged, or of a later format.
    """
    folder = Path(folder)
    contents = model_folder.read(folder)
    try:
        return Model.of(contents)
    except ArtifactError as error:  # of the vocabulary
        raise model_folder.damaged(folder, " ".join(str(error).split())) from error
