"""Stage shortlist, phase 2: the nearest label embeddings of every training document."""

from __future__ import annotations

from xmlcli.encoder import encode, unit
from xmlcli.neighbours import make_index, recall
from xmlcli.stages.inputs import encoder_of
from xmlcli.stages.job import Job
from xmlcli.stages.owned import frequencies_of, label_vectors, own_documents

VERSION = 3
SECTIONS = ("model", "shortlist")


def run(job: Job) -> None:
    """Search the label embeddings and write the artifact `shortlist`.

    The report holds the shortlists' recall of true labels, a share: on training documents, which helped to make the
    embeddings, and on validation documents, which did not.
    """
    config, prepared, ranks = job.config.shortlist, job.read("prepared"), job.ranks
    encoder, vectors = encoder_of(job), label_vectors(prepared, job.read("labels"), config, ranks)
    X, Y = own_documents(prepared, "train", ranks)
    frequencies = frequencies_of(Y, ranks)[ranks.share(Y.shape[1])]
    index = make_index(vectors, frequencies, config, device=job.device, ranks=ranks)
    size = min(config.size, Y.shape[1])
    indices, scores = index.search(unit(encode(encoder, X)), size, X=X, progress=job.progress)
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
        out.json("report.json", report)
