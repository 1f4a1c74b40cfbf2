"""Stage prepare: from a raw dataset to features, labels, the validation split, word centroids, inverse propensities.

Features are fitted on the training documents alone, validation documents included; inverse propensities come from all
of them, as the field computes them. Documents without features or labels stay in the matrices. The documents for
validation are the last ones; the order of the others is the file's. A table without a test file is split first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Longs
from xmlcli.config.sections import PrepareConfig
from xmlcli.datasets.find import DatasetFolder
from xmlcli.datasets.formats.layouts import DEMO, TABLE
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
from xmlcli.stages.random_split import draw_documents
from xmlcli.stages.raw_files import find_raw
from xmlcli.storage.partial_reads import csr_columns, csr_rows, first_rows
from xmlcli.storage.writing import Writer

VERSION = 4
SECTIONS = ("seed", "prepare")

ORACLE_DEPTH = 100
_TEST_DRAW = 1  # keeps the draw of test documents apart from that of validation documents


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
        num_validation = job.ranks.broadcast(lambda: _read_and_write(job, out))
        X, Y, text = (out.written_csr(name) for name in ("X_train.npz", "Y_train.npz", "label_text_X.npz"))
        assert X is not None
        assert Y is not None
        words = own_words(X, Y, text, job.ranks)
        out.csr_rows("label_words.npz", words)
        if num_validation:
            fewer = _fewer_words(words, X, Y, text, num_validation, job.ranks)
            out.csr_rows("label_words_without_validation.npz", fewer)


def _read_and_write(job: Job, out: Writer) -> int:
    """Write all but the word centroids; return how many documents are for validation."""
    config = job.config.prepare
    folder = find_raw(job)
    columns = TableColumns(config.text_column, config.labels_column, config.label_separator, config.group_column)
    raw = read_dataset(folder, columns=columns, max_documents=config.max_documents, progress=job.progress)
    if folder.layout == TABLE and raw.test is None:
        raw = with_test_split(raw, config.test_fraction, job.config.seed)
    features = make_features(raw, config, job.progress)
    Y = raw.train.Y
    if not Y.nnz:
        raise DatasetError(f"{folder.name}: no training document has a label", where=str(folder.path))
    eligible = (Y.getnnz(axis=1) > 0) & (features.train.getnnz(axis=1) > 0)
    size = min(int(config.validation_fraction * eligible.sum()), config.validation_documents)
    generator = np.random.default_rng(job.config.seed)
    validation = draw_documents(eligible, size, generator, raw.train.groups)
    _write_splits(out, raw, features, validation)
    _write_rest(out, raw, features, folder)
    return len(validation)


def with_test_split(raw: RawDataset, fraction: float, seed: int) -> RawDataset:
    """Return a dataset without test documents with a share of its documents, drawn at random, for test."""
    has_label = raw.train.Y.getnnz(axis=1) > 0
    generator = np.random.default_rng((seed, _TEST_DRAW))
    rows = draw_documents(has_label, int(fraction * has_label.sum()), generator, raw.train.groups)
    if not len(rows):
        return raw
    rest = np.setdiff1d(np.arange(len(has_label)), rows)
    return replace(raw, train=raw.train.take(rest), test=raw.train.take(rows))


def own_words(X: sp.csr_matrix, Y: sp.csr_matrix, text: sp.csr_matrix | None, ranks: Ranks) -> sp.csr_matrix:
    """Return the word centroids of this rank's labels, float32 CSR (L', F), made of documents X (N, F) and Y (N, L)."""
    share = ranks.share(Y.shape[1])
    columns = csr_columns(Y, share)
    rows = np.flatnonzero(np.diff(columns.indptr))
    return word_centroids(X[rows], columns[rows], None if text is None else csr_rows(text, share))


def _fewer_words(
    words: sp.csr_matrix, X: sp.csr_matrix, Y: sp.csr_matrix, text: sp.csr_matrix | None, num_validation: int,
    ranks: Ranks,
) -> sp.csr_matrix:  # fmt: skip
    """Return the word centroids `words` of this rank's labels made without the last documents.

    Only the centroids of labels that these carry are made anew.
    """
    share, first = ranks.share(Y.shape[1]), Y.shape[0] - num_validation
    changed = np.zeros(Y.shape[1], np.bool_)
    changed[Y.indices[Y.indptr[first] :]] = True
    labels = np.flatnonzero(changed[share])
    columns = csr_columns(first_rows(Y, first), share)[:, labels]
    rows = np.flatnonzero(np.diff(columns.indptr))
    anew = word_centroids(X[rows], columns[rows], None if text is None else csr_rows(text, share)[labels])
    place = np.arange(words.shape[0])
    place[labels] = words.shape[0] + np.arange(len(labels))
    return sp.vstack([words, anew], format="csr")[place]


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


def _write_splits(out: Writer, raw: RawDataset, features: Features, validation: Longs) -> None:
    """Write X and Y of training and test; `validation` int64 (N_validation,) are rows of the training file."""
    Y = raw.train.Y
    order = np.append(np.setdiff1d(np.arange(Y.shape[0]), validation), validation)
    empty = sp.csr_matrix((0, Y.shape[1]), dtype=np.float32)
    out.csr("X_train.npz", features.train[order])
    out.csr("Y_train.npz", Y[order])
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
