"""Stage prepare: from a raw dataset to features, labels, the validation split, word centroids, inverse propensities.

Features are fitted on the training file alone, validation documents included; inverse propensities come from all
training rows, as the field computes them. Documents without features or labels stay in the matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.config.sections import PrepareConfig
from xmlcli.datasets.find import DatasetFolder
from xmlcli.datasets.formats.layouts import DEMO
from xmlcli.datasets.formats.problems import TableColumns
from xmlcli.datasets.formats.raw import RawDataset
from xmlcli.datasets.load import read_dataset
from xmlcli.datasets.synthetic import demo
from xmlcli.distributed.ranks import Ranks
from xmlcli.errors import DatasetError
from xmlcli.features.tfidf import FeatureConfig, TextFeatures, inverse_document_frequency
from xmlcli.kernels.row_weights import weigh_rows
from xmlcli.label_embeddings.word_centroids import word_centroids
from xmlcli.metrics import inverse_propensity
from xmlcli.progress import Progress
from xmlcli.stages.job import Job
from xmlcli.stages.raw_files import find_raw
from xmlcli.stages.validation_split import carve_validation
from xmlcli.storage.partial_reads import csr_columns, csr_rows
from xmlcli.storage.writing import Writer

VERSION = 3
SECTIONS = ("seed", "prepare")

ORACLE_DEPTH = 100


@dataclass(frozen=True)
class Features:
    """Features of all documents of a dataset.

    Attributes:
        train, test: float32 CSR (N, F), rows of unit length.
        label_text: the same of the labels' names, or None where the documents are no text or labels have no names.
        saved: what makes features of new text, or None.
    """

    train: sp.csr_matrix
    test: sp.csr_matrix
    label_text: sp.csr_matrix | None
    saved: dict[str, Any] | None


def run(job: Job) -> None:
    """Read the raw dataset and write the artifact `prepared`.

    Of several ranks the first does it; each then makes the word centroids of its labels from what was written.
    """
    with job.write() as out:
        if job.ranks.is_first:
            _read_and_write(job, out)
        out.csr_rows("label_words.npz", _own_words(out, job.ranks))


def _read_and_write(job: Job, out: Writer) -> None:
    """Write all but the word centroids."""
    config = job.config.prepare
    folder = find_raw(job)
    columns = TableColumns(config.text_column, config.labels_column, config.label_separator)
    raw = read_dataset(folder, columns=columns, max_documents=config.max_documents, progress=job.progress)
    features = make_features(raw, config, job.progress)
    Y = raw.train.Y
    if not Y.nnz:
        raise DatasetError(f"{folder.name}: no training document has a label", where=str(folder.path))
    size = min(int(config.validation_fraction * Y.shape[0]), config.validation_documents)
    validation = carve_validation(Y, size, job.config.seed)
    _write_splits(out, raw, features, validation)
    _write_rest(out, raw, features, folder)


def _own_words(out: Writer, ranks: Ranks) -> sp.csr_matrix:
    """Return the word centroids of this rank's labels, float32 CSR (L', F), made of training documents alone."""
    ranks.barrier()  # rank 0 has written them
    X, Y, text = (out.written_csr(name) for name in ("X_train.npz", "Y_train.npz", "label_text_X.npz"))
    assert X is not None
    assert Y is not None
    share = ranks.share(Y.shape[1])
    columns = csr_columns(Y, share)
    rows = np.flatnonzero(np.diff(columns.indptr))
    return word_centroids(X[rows], columns[rows], None if text is None else csr_rows(text, share))


def make_features(raw: RawDataset, config: PrepareConfig, progress: Progress) -> Features:
    """Return features of either kind of dataset: fitted to text, or given and weighted alike."""
    if raw.train.X is not None:
        return _given_features(raw, raw.train.X, config)
    assert raw.train.texts is not None
    options = FeatureConfig(
        char_ngrams=config.char_ngrams,
        char_ngrams_below=config.char_ngrams_below,
        min_df=config.min_df,
        sublinear_tf=config.sublinear_tf,
        use_idf=config.use_idf,
    )
    fitted, X = TextFeatures.fit_transform(raw.train.texts, options, progress=progress)
    texts = raw.test.texts if raw.test is not None and raw.test.texts is not None else []
    test = fitted.transform(texts, progress=progress) if texts else sp.csr_matrix((0, X.shape[1]), dtype=np.float32)
    label_text = fitted.transform(raw.label_names) if raw.label_names else None
    return Features(X, test, label_text, fitted.to_json())


def _given_features(raw: RawDataset, X: sp.csr_matrix, config: PrepareConfig) -> Features:
    idf = inverse_document_frequency(X) if config.use_idf else None
    test = raw.test.X if raw.test is not None and raw.test.X is not None else sp.csr_matrix((0, X.shape[1]))
    return Features(weigh_rows(X, idf), weigh_rows(test, idf), None, None)


def _write_splits(out: Writer, raw: RawDataset, features: Features, validation: np.ndarray[Any, Any]) -> None:
    """Write X and Y of the three splits; `validation` int64 (N_validation,) are rows of the training file."""
    Y = raw.train.Y
    train = np.setdiff1d(np.arange(Y.shape[0]), validation)
    empty = sp.csr_matrix((0, Y.shape[1]), dtype=np.float32)
    out.csr("X_train.npz", features.train[train])
    out.csr("Y_train.npz", Y[train])
    out.csr("X_validation.npz", features.train[validation])
    out.csr("Y_validation.npz", Y[validation])
    out.csr("X_test.npz", features.test)
    out.csr("Y_test.npz", empty if raw.test is None else raw.test.Y)
    out.array("validation_rows.npy", validation)


def _write_rest(out: Writer, raw: RawDataset, features: Features, folder: DatasetFolder) -> None:
    """Write what belongs to labels, to evaluation, and the summary."""
    Y = raw.train.Y
    out.array("inverse_propensity.npy", inverse_propensity(Y, raw.propensity_a, raw.propensity_b))
    if features.label_text is not None:
        out.csr("label_text_X.npz", features.label_text)
    if raw.label_names is not None:
        out.json("labels.json", raw.label_names)
    if features.saved is not None:
        out.json("features.json", features.saved)
    if raw.test_filter is not None:
        out.array("test_filter.npy", raw.test_filter)
    if folder.layout == DEMO:
        out.array("oracle_top.npy", demo.oracle_top_k(ORACLE_DEPTH))
    out.json(
        "prepared.json",
        {
            "dataset": folder.name,
            "layout": folder.layout,
            "propensity_a": raw.propensity_a,
            "propensity_b": raw.propensity_b,
            "training_rows": Y.shape[0],
            "test_rows": features.test.shape[0],
            "features": features.train.shape[1],
            "char_ngrams": len((features.saved or {}).get("char_ngrams", [])),
            "labels": Y.shape[1],
            "labels_without_documents": int((Y.getnnz(axis=0) == 0).sum()),
            "labels_per_document": round(Y.nnz / Y.shape[0], 4),
        },
    )
