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
from xmlcli.storage.partial_reads import csr_columns


def own_documents(
    prepared: Artifact, split: str, ranks: Ranks, most: int | None = None
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return this rank's documents of a split, or of its first `most`: X float32 CSR (n, F) and Y CSR (n, L)."""
    rows = prepared.rows(f"X_{split}.npz")
    share = ranks.share(rows if most is None else min(most, rows))
    return prepared.csr_rows(f"X_{split}.npz", share), prepared.csr_rows(f"Y_{split}.npz", share)


def matrix(artifact: Artifact, name: str, ranks: Ranks) -> sp.csr_matrix:
    """Return a CSR matrix; with several ranks its entries are read from the disk as they are used."""
    return artifact.csr(name) if ranks.size == 1 else artifact.mapped_csr(name)


def all_rows(prepared: Artifact, name: str, own: sp.csr_matrix, ranks: Ranks) -> sp.csr_matrix:
    """Return the whole matrix; `own` are this rank's rows, others' are read from the disk as they are used."""
    return own if ranks.size == 1 else prepared.mapped_csr(name)


@dataclass(frozen=True)
class Carriers:
    """The training documents that carry the labels of this rank.

    Attributes:
        rows: int64 (M,), ascending.
        Y: CSR (M, L') with the columns of this rank's labels.
    """

    rows: Longs
    Y: sp.csr_matrix


def carriers(prepared: Artifact, Y: sp.csr_matrix, ranks: Ranks) -> Carriers:
    """Return the documents of this rank's labels; a single rank gets all documents, those without labels too.

    Y: CSR (n, L), the documents that this rank owns.
    """
    if ranks.size == 1:
        return Carriers(np.arange(Y.shape[0]), Y)
    columns = csr_columns(prepared.mapped_csr("Y_train.npz"), ranks.share(Y.shape[1]))
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


def label_vectors(prepared: Artifact, labels: Artifact, config: ShortlistConfig, ranks: Ranks) -> SearchVectors:
    """Return the vectors that this rank's labels are searched by."""
    share = ranks.share(labels.dims["L"])
    words = prepared.csr_rows("label_words.npz", share) if config.backend == "words" else None
    Z, bonus = (labels.array_rows(name, share) for name in ("Z.npy", "bonus.npy"))
    return SearchVectors(Z, bonus, words)


def frequencies_of(Y: sp.csr_matrix, ranks: Ranks) -> Floats:
    """Return the number of documents of each label, float32 (L,); Y CSR (n, L) are those that this rank owns."""
    return ranks.all_reduce_sum(label_frequencies(Y))
