"""A scikit-learn estimator for texts with several labels each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags

from xmlcli.api.fit import fit, fit_matrix
from xmlcli.errors import UsageError
from xmlcli.serving.model import Model, check_threshold


class XMLClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The default pipeline as a classifier of texts.

    X are N texts, or (N, F) features, sparse or dense. y is either a list of labels for each text, whose words help to
    find it, or a binary indicator matrix (N, L), dense or sparse; `predict` answers in kind. Only the labels of a
    document's shortlist are scored: in the sparse matrices that `predict_proba` and `decision_function` return, a label
    that is not stored has a probability of about 0.

    Args:
        settings: "section.key" → another value than the pipeline file's, such as {"cycles": 1}.
        threshold: `predict` returns labels that are at least so probable.
        k: at most so many labels a text; None for as many as are scored.
        random_state: the seed of every random choice; None for the pipeline file's.
        device: auto, cpu or cuda.

    Attributes:
        classes_: the labels (L,), sorted, or the columns of the indicator matrix.
        model_: the `xmlcli.Model`, with `save`.

    >>> from xmlcli import XMLClassifier
    >>> texts = ["apples and pears", "pears and plums", "bolts and nuts", "nuts and screws"] * 10
    >>> y = [["fruit"], ["fruit"], ["hardware"], ["hardware"]] * 10
    >>> small = {"model.dim": 16, "cycles": 1, "clf.min_documents": 500}
    >>> XMLClassifier(settings=small, k=1, threshold=0.0).fit(texts, y).predict(["plums", "screws"])
    [['fruit'], ['hardware']]
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        threshold: float = 0.5,
        k: int | None = None,
        random_state: int | None = None,
        device: str = "auto",
    ) -> None:
        """See the class."""
        self.settings = settings
        self.threshold = threshold
        self.k = k
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any) -> XMLClassifier:
        """Train on N documents X with labels y. Raises UsageError where they do not fit together."""
        settings = dict(self.settings or {})
        if self.random_state is not None:
            if not isinstance(self.random_state, int | np.integer):
                raise UsageError("random_state has to be a whole number or None", found=repr(self.random_state))
            settings["seed"] = int(self.random_state)
        self._indicator = "sparse" if sp.issparse(y) else "dense" if _is_matrix(y) else None
        if self._indicator:
            self.classes_ = np.arange(y.shape[1])
            self.model_: Model = fit_matrix(X, _checked(y), settings=settings, device=self.device)
            return self
        rows = self._rows(y)
        classes = sorted({label for row in rows for label in row}, key=str)
        if len(set(map(str, classes))) < len(classes):
            raise UsageError("two labels are the same as text", expected="labels that differ")
        self.classes_ = np.empty(len(classes), object)
        self.classes_[:] = classes
        named = [[str(label) for label in row] for row in rows]
        self.model_ = fit(X, named, settings=settings, device=self.device)
        return self

    def decision_function(self, X: Any) -> sp.csr_matrix:
        """Return log-odds, float32 CSR (N, L), of the labels on each text's shortlist."""
        return self._scored(X, probabilities=False)

    def predict_proba(self, X: Any) -> sp.csr_matrix:
        """Return probabilities, float32 CSR (N, L), of the labels on each text's shortlist."""
        return self._scored(X, probabilities=True)

    def predict(self, X: Any) -> Any:
        """Return the labels that are at least `threshold` probable: lists, or an indicator matrix if y was one."""
        check_threshold(self.threshold)
        scores = self.predict_proba(X)
        if self._indicator is None:
            return [self._best(scores[row]) for row in range(scores.shape[0])]
        is_chosen = (scores.data >= self.threshold).astype(np.int64)
        chosen = sp.csr_matrix((is_chosen, scores.indices, scores.indptr), scores.shape)
        chosen.eliminate_zeros()
        return chosen if self._indicator == "sparse" else chosen.toarray()

    def score(self, X: Any, y: Any, sample_weight: npt.NDArray[np.floating[Any]] | None = None) -> float:
        """Return the share of texts whose best label is right: precision at 1. Labels never seen are never right."""
        best = self._scored(X, probabilities=True, k=1)
        right = np.zeros(best.shape[0])
        for row, labels in enumerate(self._rows(y)):
            predicted = best.indices[best.indptr[row] : best.indptr[row + 1]]
            right[row] = len(predicted) and self.classes_[predicted[0]] in labels
        return float(np.average(right, weights=sample_weight))

    def __sklearn_tags__(self) -> Tags:
        """Say that X are texts and y may hold several labels."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.multi_class = False
        tags.target_tags.multi_output = True
        return tags

    def _scored(self, X: Any, *, probabilities: bool, k: int | None = None) -> sp.csr_matrix:
        if not hasattr(self, "model_"):
            raise NotFittedError("this XMLClassifier is not fitted yet: call fit first")
        model = self.model_
        k = next(asked for asked in (k, self.k, model.num_labels) if asked is not None)
        labels, scores = (model.top_k if probabilities else model.top_k_log_odds)(X, k)
        there = labels < model.num_labels
        offsets = np.append(0, np.cumsum(there.sum(axis=1)))
        matrix = sp.csr_matrix(
            (scores[there], labels[there], offsets), (len(labels), len(self.classes_)), dtype=np.float32
        )
        matrix.sort_indices()
        return matrix

    def _best(self, row: sp.csr_matrix) -> list[Any]:
        """Return the labels of one row that are at least `threshold` probable, best first."""
        order = np.argsort(-row.data, kind="stable")
        return [self.classes_[row.indices[i]] for i in order if row.data[i] >= self.threshold]

    def _rows(self, y: Any) -> list[list[Any]]:
        """Return the labels of each text, column numbers of an indicator matrix. Raises UsageError."""
        if _is_matrix(y):
            Y = _checked(y)
            return [Y.indices[Y.indptr[i] : Y.indptr[i + 1]].tolist() for i in range(Y.shape[0])]
        rows = list(y)
        if any(isinstance(row, str | bytes) or not hasattr(row, "__iter__") for row in rows):
            raise UsageError(
                "y holds one label a text", expected="a list of labels a text", remedy="[[label] for label in y]"
            )
        return [list(row) for row in rows]


def _is_matrix(y: Any) -> bool:
    return bool(sp.issparse(y) or (isinstance(y, np.ndarray) and y.ndim == 2))


def _checked(y: Any) -> sp.csr_matrix:
    """Return an indicator matrix without stored zeros. Raises UsageError where it is none."""
    Y = sp.csr_matrix(y)
    Y.eliminate_zeros()
    if Y.nnz and set(np.unique(Y.data).tolist()) != {1}:
        raise UsageError("y is no indicator matrix", expected="0 and 1 only")
    return Y
