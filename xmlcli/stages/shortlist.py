"""Stage shortlist, phase 2: the nearest label embeddings of every training document."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array, Floats
from xmlcli.encoder.encoder import encode, unit
from xmlcli.progress import Progress
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.make_index import LabelVectors, count_hits, make_index, recall
from xmlcli.shortlists.rerank import Proposals, decide, propose
from xmlcli.shortlists.word_index import PROPOSED
from xmlcli.stages.encoded_inputs import encoder_of
from xmlcli.stages.inputs import frequencies_of, label_vectors, own_documents
from xmlcli.stages.job import Job

VERSION = 6
SECTIONS = ("model", "shortlist")


_BLOCK = 16_384  # documents, whose shortlists are written before those of the next are searched


def run(job: Job) -> None:
    """Search the label embeddings and write the artifact `shortlist`; words propose in the first cycle, for all.

    The report holds the shortlists' recall of true labels, a share: on training documents, which helped to make the
    embeddings, and on validation documents, which did not.
    """
    config, prepared, ranks = job.config.shortlist, job.read("prepared"), job.ranks
    encoder, vectors = encoder_of(job), label_vectors(prepared, job.read("labels"), config, ranks)
    X, Y = own_documents(prepared, "train", ranks)
    frequencies = frequencies_of(Y, ranks)[ranks.share(Y.shape[1])]
    size, hits = min(config.size, Y.shape[1]), 0.0
    index = make_index(vectors, frequencies, config, device=job.device, ranks=ranks)
    search = partial(_search_labels, index, size) if config.backend != "words" else _decide(job, vectors, frequencies)
    with job.write() as out:
        with ExitStack() as opened:
            append = [
                opened.enter_context(out.open_rows(name, dtype, (X.shape[0], width)))
                for name, (dtype, width) in _tables(job, size, Y.shape[1]).items()
            ]
            for block in ranks.blocks(X.shape[0], _BLOCK):
                rows, progress = X[block], partial(_go_on, job.progress, block, X.shape[0])
                tables = search(block, rows, unit(encode(encoder, rows)), progress)
                hits += count_hits(tables[0], Y[block])
                for write, table in zip(append, tables, strict=True):
                    write(table)
                progress("shortlist", block.stop - block.start, 0)
        X_validation, Y_validation = own_documents(prepared, "validation", ranks)
        found, _ = index.search(unit(encode(encoder, X_validation)), size, X=X_validation)
        report = {
            "size": size,
            "recall": round(recall(found, Y_validation, ranks), 6),
            "recall_at_20": round(recall(found[:, :20], Y_validation, ranks), 6),
            "recall_on_train": round(float(ranks.sum_over_ranks(hits) / max(ranks.sum_over_ranks(Y.nnz), 1)), 6),
        }
        out.json("report.json", report)
    job.note_label_rows(len(vectors.Z))


def _tables(job: Job, size: int, num_labels: int) -> dict[str, tuple[npt.DTypeLike, int]]:
    """Return the arrays of the artifact, their dtypes and widths, in the order in which a search returns them."""
    found: dict[str, tuple[npt.DTypeLike, int]] = {"indices.npy": (np.int32, size), "scores.npy": (np.float32, size)}
    if job.config.shortlist.backend == "words" and not job.has("shortlist"):
        proposed = min(PROPOSED * size, num_labels)
        found |= {"proposals.npy": (np.int32, proposed), "proposal_scores.npy": (np.float16, proposed)}
    return found


def _go_on(progress: Progress, block: slice, total: int, what: str, done: int, of: int) -> None:
    progress(what, block.start + done, total)


Search = Callable[[slice, sp.csr_matrix, Floats, Progress], tuple[Array, ...]]
"""Finds the shortlists of a block of documents: which these are, their words and vectors → indices, scores, and in the
first cycle what words proposed."""


def _search_labels(
    index: Index, size: int, block: slice, rows: sp.csr_matrix, documents: Floats, progress: Progress
) -> tuple[Array, ...]:
    return index.search(documents, size, X=rows, progress=progress)


def _decide(job: Job, labels: LabelVectors, frequencies: Floats) -> Search:
    """Return the search in which words propose, or have proposed in the first cycle, and vectors decide."""
    config, ranks, num_labels = job.config.shortlist, job.ranks, job.read("prepared").dims["L"]
    size = min(config.size, num_labels)
    if not job.has("shortlist"):
        index = make_index(labels, frequencies, replace(config, vectors=0.0), in_order=False, ranks=ranks)
    else:
        index, earlier = None, job.read("shortlist")
        first = ranks.share(earlier.rows("proposals.npy")).start

    def search(block: slice, rows: sp.csr_matrix, documents: Floats, progress: Progress) -> tuple[Array, ...]:
        if index is not None:
            proposals = propose(index, rows, size, num_labels, progress=progress)
        else:
            own = slice(first + block.start, first + block.stop)
            proposals = Proposals(*(earlier.array_rows(name, own) for name in ("proposals.npy", "proposal_scores.npy")))
        found = decide(proposals, documents, labels.Z, config.vectors, size, num_labels, ranks)
        return found if index is None else (*found, proposals.labels, proposals.scores)

    return search
