"""Stage shortlist, phase 2: the nearest label embeddings of every training document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.encoder import encode, unit
from xmlcli.neighbours import LabelVectors, make_index, recall
from xmlcli.proposals import Proposals, decide, propose
from xmlcli.stages.inputs import encoder_of
from xmlcli.stages.job import Job
from xmlcli.stages.owned import frequencies_of, label_vectors, own_documents

VERSION = 6
SECTIONS = ("model", "shortlist")

Floats = npt.NDArray[np.float32]


def run(job: Job) -> None:
    """Search the label embeddings and write the artifact `shortlist`; words propose in the first cycle, for all.

    The report holds the shortlists' recall of true labels, a share: on training documents, which helped to make the
    embeddings, and on validation documents, which did not.
    """
    config, prepared, ranks = job.config.shortlist, job.read("prepared"), job.ranks
    encoder, vectors = encoder_of(job), label_vectors(prepared, job.read("labels"), config, ranks)
    X, Y = own_documents(prepared, "train", ranks)
    frequencies = frequencies_of(Y, ranks)[ranks.share(Y.shape[1])]
    size, documents = min(config.size, Y.shape[1]), unit(encode(encoder, X))
    proposals = _proposals(job, vectors, frequencies, X) if config.backend == "words" else None
    index = make_index(vectors, frequencies, config, device=job.device, ranks=ranks)
    if proposals is None:
        indices, scores = index.search(documents, size, X=X, progress=job.progress)
    else:
        indices, scores = decide(proposals, documents, vectors.Z, config.vectors, size, Y.shape[1], ranks)
    X_validation, Y_validation = own_documents(prepared, "validation", ranks)
    found, _ = index.search(unit(encode(encoder, X_validation)), size, X=X_validation)
    report = {
        "size": size,
        "recall": round(recall(found, Y_validation, ranks), 6),
        "recall_at_20": round(recall(found[:, :20], Y_validation, ranks), 6),
        "recall_on_train": round(recall(indices, Y, ranks), 6),
    }
    job.note_label_rows(len(vectors.Z))
    with job.write() as out:
        out.rows("indices.npy", indices)
        out.rows("scores.npy", scores)
        if proposals is not None and not job.has("shortlist"):
            out.rows("proposals.npy", proposals.labels)
            out.rows("proposal_scores.npy", proposals.scores)
        out.json("report.json", report)


def _proposals(job: Job, labels: LabelVectors, frequencies: Floats, X: sp.csr_matrix) -> Proposals:
    """Return what words propose for this rank's documents X float32 CSR (n, F): as the first cycle found it."""
    config, ranks, num_labels = job.config.shortlist, job.ranks, job.read("prepared").dims["L"]
    if not job.has("shortlist"):
        index = make_index(labels, frequencies, replace(config, vectors=0.0), in_order=False, ranks=ranks)
        return propose(index, X, min(config.size, num_labels), num_labels, ranks, progress=job.progress)
    earlier = job.read("shortlist")
    own = ranks.share(earlier.rows("proposals.npy"))
    return Proposals(*(earlier.array_rows(name, own) for name in ("proposals.npy", "proposal_scores.npy")))
