"""Inputs that need no torch: the documents and labels that a rank owns, as arrays and CSR matrices.

A single rank owns everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Floats, Longs
from xmlcli.config.sections import ShortlistConfig
from xmlcli.distributed.ranks import Ranks
from xmlcli.features.name_stems import name_stems
from xmlcli.features.tfidf import TextFeatures
from xmlcli.kernels.name_scores import NameStems
from xmlcli.label_embeddings.word_centroids import label_frequencies
from xmlcli.shortlists.make_index import SearchVectors
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.partial_reads import csr_columns, first_rows


def without_validation(prepared: Artifact) -> int:
    """Return how many training documents are not for validation: the first ones."""
    return prepared.dims["N"] - prepared.dims["N_validation"]


def learnt_from(clf: Artifact) -> int:
    """Return how many training documents, the first ones, a model has learnt from."""
    return int(clf.json("state.json")["documents"])


def own_documents(prepared: Artifact, rows: slice, ranks: Ranks) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return this rank's part of some training documents: X float32 CSR (n, F) and Y CSR (n, L)."""
    share = ranks.share(rows.stop - rows.start)
    own = slice(rows.start + share.start, rows.start + share.stop)
    return prepared.csr_rows("X_train.npz", own), prepared.csr_rows("Y_train.npz", own)


def validation_documents(prepared: Artifact) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return all documents for validation, X float32 CSR (N_validation, F) and Y CSR (N_validation, L)."""
    rows = validation_rows(prepared)
    return prepared.csr_rows("X_train.npz", rows), prepared.csr_rows("Y_train.npz", rows)


def validation_rows(prepared: Artifact, most: int | None = None) -> slice:
    """Return which training documents are for validation, or the first `most` of them."""
    first, last = without_validation(prepared), prepared.dims["N"]
    return slice(first, last if most is None else min(last, first + most))


def matrix(prepared: Artifact, name: str, documents: int, ranks: Ranks) -> sp.csr_matrix:
    """Return the first rows of a CSR matrix; with several ranks its entries are read from the disk as they are used."""
    whole = prepared.csr(name) if ranks.size == 1 else prepared.mapped_csr(name)
    return first_rows(whole, documents)


def all_rows(prepared: Artifact, name: str, own: sp.csr_matrix, documents: int, ranks: Ranks) -> sp.csr_matrix:
    """Return the first rows of a matrix; `own` are this rank's, others' are read from the disk as they are used."""
    return own if ranks.size == 1 else first_rows(prepared.mapped_csr(name), documents)


def label_words(prepared: Artifact, documents: int, ranks: Ranks) -> sp.csr_matrix:
    """Return the word centroids of this rank's labels, float32 CSR (L', F), made of the first `documents`.

    These are all training documents, or all but those for validation.
    """
    assert documents in (prepared.dims["N"], without_validation(prepared))
    name = "label_words.npz" if documents == prepared.dims["N"] else "label_words_without_validation.npz"
    return prepared.csr_rows(name, ranks.share(prepared.dims["L"]))


@dataclass(frozen=True)
class Carriers:
    """The training documents that carry the labels of this rank.

    Attributes:
        rows: int64 (M,), ascending.
        Y: CSR (M, L') with the columns of this rank's labels.
    """

    rows: Longs
    Y: sp.csr_matrix


def carriers(prepared: Artifact, Y: sp.csr_matrix, documents: int, ranks: Ranks) -> Carriers:
    """Return those of the first `documents` that carry this rank's labels; a single rank gets all of them.

    Y: CSR (n, L), the documents that this rank owns.
    """
    if ranks.size == 1:
        return Carriers(np.arange(Y.shape[0]), Y)
    columns = csr_columns(first_rows(prepared.mapped_csr("Y_train.npz"), documents), ranks.share(Y.shape[1]))
    rows = np.flatnonzero(np.diff(columns.indptr))
    return Carriers(rows, columns[rows])


def label_text(prepared: Artifact, ranks: Ranks) -> sp.csr_matrix | None:
    """Return the features of the texts of this rank's labels, float32 CSR (L', F), or None."""
    if not prepared.has("label_text_X.npz"):
        return None
    return prepared.csr_rows("label_text_X.npz", ranks.share(prepared.rows("label_text_X.npz")))


def name_stems_of(prepared: Artifact, ranks: Ranks) -> NameStems | None:
    """Return the stems of the names of this rank's labels, or None where documents or labels have no words."""
    if not (prepared.has("features.json") and prepared.has("labels.json")):
        return None
    share = ranks.share(prepared.dims["L"])
    return name_stems(TextFeatures.from_json(prepared.json("features.json")), prepared.json("labels.json")[share])


def label_vectors(
    prepared: Artifact, labels: Artifact, documents: int, config: ShortlistConfig, ranks: Ranks
) -> SearchVectors:
    """Return the vectors that this rank's labels are searched by, the words made of the first `documents`."""
    share = ranks.share(labels.dims["L"])
    words = label_words(prepared, documents, ranks) if config.backend == "words" else None
    Z, bonus = (labels.array_rows(name, share) for name in ("Z.npy", "bonus.npy"))
    return SearchVectors(Z, bonus, words)


def frequencies_of(Y: sp.csr_matrix, ranks: Ranks) -> Floats:
    """Return the number of documents of each label, float32 (L,); Y CSR (n, L) are those that this rank owns."""
    return ranks.all_reduce_sum(label_frequencies(Y))
