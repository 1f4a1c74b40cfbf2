"""Stage shortlist, phase 2: the nearest label embeddings of every training document."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.encoder.encoder import Encoder, encode, unit
from xmlcli.progress import Progress
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.make_index import make_index, make_word_index, searchable_labels
from xmlcli.shortlists.recall import count_hits, recall, recall_of_hits
from xmlcli.shortlists.rerank import RetrieveAndRerank, Retrieved
from xmlcli.shortlists.word_index import RETRIEVED
from xmlcli.stages.encoded_inputs import encoder_of
from xmlcli.stages.inputs import frequencies_of, label_vectors, own_documents
from xmlcli.stages.job import Job

VERSION = 6
SECTIONS = ("model", "shortlist")

_BLOCK = 16_384  # documents, whose shortlists are written before those of the next are searched
_RETRIEVED = ("proposals.npy", "proposal_scores.npy")


def run(job: Job) -> None:
    """Search the label embeddings and write the artifact `shortlist`.

    Words retrieve labels in the first cycle, for all cycles. The report holds the shortlists' recall of true labels, a
    share: on training documents, which helped to make the embeddings, and on validation documents, which did not.
    """
    prepared, ranks = job.read("prepared"), job.ranks
    encoder = encoder_of(job)
    X, Y = own_documents(prepared, "train", ranks)
    size, hits = min(job.config.shortlist.size, Y.shape[1]), 0.0
    index = _index(job, Y)
    with job.write() as out:
        with ExitStack() as opened:
            append = [
                opened.enter_context(out.open_rows(name, dtype, (X.shape[0], width)))
                for name, (dtype, width) in _tables(job, size, Y.shape[1]).items()
            ]
            for block in ranks.blocks(X.shape[0], _BLOCK):
                tables = _shortlists(job, index, encoder, X, block, size)
                hits += count_hits(tables[0], Y[block])
                for write, table in zip(append, tables, strict=True):
                    write(table)
                job.progress("shortlist", block.stop, X.shape[0])
        X_validation, Y_validation = own_documents(prepared, "validation", ranks)
        shortlists, _ = index.search(unit(encode(encoder, X_validation)), size, X=X_validation)
        report = {
            "size": size,
            "recall": round(recall(shortlists, Y_validation, ranks), 6),
            "recall_at_20": round(recall(shortlists[:, :20], Y_validation, ranks), 6),
            "recall_on_train": round(recall_of_hits(hits, Y, ranks), 6),
        }
        out.json("report.json", report)


def _index(job: Job, Y: sp.csr_matrix) -> Index:
    """Index this rank's labels; Y: CSR (n, L), its training documents' labels."""
    config, ranks = job.config.shortlist, job.ranks
    vectors = label_vectors(job.read("prepared"), job.read("labels"), config, ranks)
    job.note_label_rows(len(vectors.Z))
    searchable = searchable_labels(frequencies_of(Y, ranks)[ranks.share(Y.shape[1])], config)
    if config.backend == "words":
        return make_word_index(vectors, searchable, config, ranks=ranks)
    return make_index(vectors, searchable, config, device=job.device, ranks=ranks)


def _tables(job: Job, size: int, num_labels: int) -> dict[str, tuple[npt.DTypeLike, int]]:
    """Return the arrays of the artifact, their dtypes and widths, in the order of `_shortlists`."""
    tables: dict[str, tuple[npt.DTypeLike, int]] = {"indices.npy": (np.int32, size), "scores.npy": (np.float32, size)}
    if job.config.shortlist.backend == "words" and not job.has("shortlist"):
        width = min(RETRIEVED * size, num_labels)
        tables |= dict(zip(_RETRIEVED, ((np.int32, width), (np.float16, width)), strict=True))
    return tables


def _shortlists(
    job: Job, index: Index, encoder: Encoder, X: sp.csr_matrix, block: slice, size: int
) -> tuple[Array, ...]:
    """Return indices and scores of the shortlists of a block of X, and in the first cycle what words retrieved."""
    rows, progress = X[block], partial(_go_on, job.progress, block, X.shape[0])
    documents = unit(encode(encoder, rows))
    if not isinstance(index, RetrieveAndRerank):
        return index.search(documents, size, X=rows, progress=progress)
    if job.has("shortlist"):
        return index.reranker.rerank(_retrieved_before(job, block), documents, size)
    labels, scores = index.retrieve(rows, size, progress=progress)
    retrieved = Retrieved(labels, scores.astype(np.float16))  # as later cycles will read them
    return (*index.reranker.rerank(retrieved, documents, size), *retrieved)


def _retrieved_before(job: Job, block: slice) -> Retrieved:
    """Return what the first cycle retrieved for a block of this rank's documents."""
    earlier = job.read("shortlist")
    first = job.ranks.share(earlier.rows(_RETRIEVED[0])).start
    own = slice(first + block.start, first + block.stop)
    return Retrieved(*(earlier.array_rows(name, own) for name in _RETRIEVED))


def _go_on(progress: Progress, block: slice, total: int, what: str, done: int, of: int) -> None:
    progress(what, block.start + done, total)
