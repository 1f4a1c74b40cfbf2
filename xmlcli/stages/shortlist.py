"""Stage shortlist, phase 2: the nearest label embeddings of every training document."""

from __future__ import annotations

from xmlcli.encoder import encode, unit
from xmlcli.neighbours import LabelVectors, make_index, recall
from xmlcli.stages.inputs import encoder_of
from xmlcli.stages.job import Job
from xmlcli.word_index import label_frequencies

VERSION = 3
SECTIONS = ("model", "shortlist")


def run(job: Job) -> None:
    """Search the label embeddings and write the artifact `shortlist`.

    The report holds the shortlists' recall of true labels, a share: on training documents, which helped to make the
    embeddings, and on validation documents, which did not.
    """
    config, prepared, labels = job.config.shortlist, job.read("prepared"), job.read("labels")
    encoder = encoder_of(job)
    X, Y = prepared.csr("X_train.npz"), prepared.csr("Y_train.npz")
    words = prepared.csr("label_words.npz") if config.backend == "words" else None
    vectors = LabelVectors(labels.array("Z.npy"), labels.array("bonus.npy"), words)
    index = make_index(vectors, label_frequencies(Y), config, device=job.device)
    size = min(config.size, Y.shape[1])
    indices, scores = index.search(unit(encode(encoder, X)), size, X=X, progress=job.progress)
    X_validation, Y_validation = prepared.csr("X_validation.npz"), prepared.csr("Y_validation.npz")
    found, _ = index.search(unit(encode(encoder, X_validation)), size, X=X_validation)
    report = {
        "size": size,
        "recall": round(recall(found, Y_validation), 6),
        "recall_at_20": round(recall(found[:, :20], Y_validation), 6),
        "recall_on_train": round(recall(indices, Y), 6),
    }
    with job.write() as out:
        out.array("indices.npy", indices)
        out.array("scores.npy", scores)
        out.json("report.json", report)
