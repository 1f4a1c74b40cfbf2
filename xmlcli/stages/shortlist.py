"""Stage shortlist, phase 2: the nearest label embeddings of every training document, validation documents included."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.distributed.ranks import Ranks
from xmlcli.encoder.encoder import Encoder, encode, unit
from xmlcli.progress import Progress
from xmlcli.shortlists.index import Index
from xmlcli.shortlists.make_index import make_index, make_word_index, searchable_labels
from xmlcli.shortlists.recall import count_hits
from xmlcli.shortlists.rerank import RetrieveAndRerank, Retrieved
from xmlcli.shortlists.word_index import RETRIEVED
from xmlcli.stages.encoded_inputs import encoder_of
from xmlcli.stages.inputs import frequencies_of, label_vectors, learnt_from, own_documents
from xmlcli.stages.job import Job
from xmlcli.storage.artifacts import Artifact

VERSION = 7
SECTIONS = ("model", "shortlist")

_BLOCK = 16_384  # documents, whose shortlists are written before those of the next are searched
_SHORT = 20  # labels a document, of which the report gives the recall too
_RETRIEVED = ("proposals.npy", "proposal_scores.npy")


def run(job: Job) -> None:
    """Search the label embeddings and write the artifact `shortlist`.

    Words retrieve labels in the first cycle, for all cycles. The report holds the shortlists' recall of true labels, a
    share: on training documents, which helped to make the embeddings, and on validation documents, which did not.
    """
    prepared, ranks = job.read("prepared"), job.ranks
    encoder = encoder_of(job)
    X, Y = own_documents(prepared, slice(0, prepared.dims["N"]), ranks)
    size = min(job.config.shortlist.size, Y.shape[1])
    helped = _helped(job, prepared)
    index, recalls = _index(job, Y[:helped]), _Recalls(size)
    with job.write() as out:
        with ExitStack() as opened:
            append = [
                opened.enter_context(out.open_rows(name, dtype, (X.shape[0], width)))
                for name, (dtype, width) in _tables(job, size, Y.shape[1]).items()
            ]
            for block in ranks.blocks(X.shape[0], _BLOCK):
                tables = _shortlists(job, index, encoder, X, block, size)
                recalls.count(tables[0], Y[block], helped - block.start)
                for write, table in zip(append, tables, strict=True):
                    write(table)
                job.progress("shortlist", block.stop, X.shape[0])
        out.json("report.json", recalls.report(ranks))


class _Recalls:
    """Counts hits and true labels of shortlists of `size`: of documents that helped to make them, and of the others."""

    def __init__(self, size: int) -> None:
        self._size, self._sums = size, np.zeros((2, 3))

    def count(self, shortlists: Array, Y: sp.csr_matrix, helped: int) -> None:
        """Add shortlists int32 (n, size) of documents with labels Y, CSR (n, L), of which the first `helped` helped."""
        cut = min(max(helped, 0), Y.shape[0])
        for sums, rows in zip(self._sums, (slice(0, cut), slice(cut, Y.shape[0])), strict=True):
            own, labels = shortlists[rows], Y[rows]
            sums += (count_hits(own, labels), count_hits(own[:, :_SHORT], labels), labels.nnz)

    def report(self, ranks: Ranks) -> dict[str, float]:
        """Return the recalls of all ranks' documents."""
        (on_train, _, trained), (all_hits, first_hits, validated) = ranks.all_reduce_sum(self._sums)
        return {
            "size": self._size,
            "recall": round(all_hits / max(validated, 1), 6),
            f"recall_at_{_SHORT}": round(first_hits / max(validated, 1), 6),
            "recall_on_train": round(on_train / max(trained, 1), 6),
        }


def _helped(job: Job, prepared: Artifact) -> int:
    """Return how many of this rank's documents, the first ones, helped to make the model."""
    share = job.ranks.share(prepared.dims["N"])
    return int(min(max(learnt_from(job.read("clf")) - share.start, 0), share.stop - share.start))


def _index(job: Job, Y: sp.csr_matrix) -> Index:
    """Index this rank's labels; Y: CSR (n, L), the labels of its documents that helped to make the model."""
    config, ranks = job.config.shortlist, job.ranks
    vectors = label_vectors(job.read("prepared"), job.read("labels"), learnt_from(job.read("clf")), config, ranks)
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
