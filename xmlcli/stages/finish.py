"""Stage finish: let the validation documents count, once the combination has been fitted on them.

The linear classifiers of the labels that they carry are trained anew, on all training documents. All other weights stay
as the last cycle left them, so that scores mean what they meant to the combination. What is computed from documents
(word centroids, label embeddings, frequencies, kNN votes) takes all of them from here on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Ints
from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.one_vs_rest import LinearTraining, stack
from xmlcli.classifiers.sharded_problems import own_problems
from xmlcli.classifiers.tensor_names import has_label_rows
from xmlcli.kernels.descent import LabelProblems
from xmlcli.shortlists.sharded_index import sharded
from xmlcli.shortlists.word_index import WordIndex
from xmlcli.stages.inputs import (
    all_rows,
    frequencies_of,
    label_words,
    matrix,
    own_documents,
    validation_documents,
    without_validation,
)
from xmlcli.stages.job import Job

VERSION = 1
SECTIONS = ("linear",)

_NEW = 20  # of them on a shortlist, at most


def run(job: Job) -> None:
    """Write the artifact `clf` of the model that has learnt from all documents."""
    prepared, before, ranks = job.read("prepared"), job.read("clf"), job.ranks
    share = ranks.share(prepared.dims["L"])
    tensors = before.tensor_rows("model.safetensors", share, has_label_rows)
    job.note_label_rows(share.stop - share.start)
    with job.write() as out:
        out.tensors("model.safetensors", tensors, split=set(filter(has_label_rows, tensors)))
        out.json("state.json", before.json("state.json") | {"documents": prepared.dims["N"]})
        if before.has("linear.npz"):
            out.csr_rows("linear.npz", _linear(job, before.csr_rows("linear.npz", share)))


def _linear(job: Job, before: sp.csr_matrix) -> sp.csr_matrix:
    """Return the linear classifiers of this rank's labels, float32 CSR (L', F + 1); `before`: those there are."""
    prepared, ranks = job.read("prepared"), job.ranks
    N, share = prepared.dims["N"], ranks.share(prepared.dims["L"])
    carried = np.zeros(prepared.dims["L"], np.bool_)
    carried[validation_documents(prepared)[1].indices] = True
    data = TrainingData.of(
        matrix(prepared, "X_train.npz", N, ranks), matrix(prepared, "Y_train.npz", N, ranks),
        job.read("shortlist").array("indices.npy", mmap=True), ranks,
    )  # fmt: skip
    X, words = all_rows(prepared, "X_train.npz", data.X, N, ranks), label_words(prepared, N, ranks)
    data = replace(data, shortlist=np.hstack([data.shortlist, _new_labels(job, data, words)]))
    problems = _of_labels(own_problems(data, X), carried[share])
    training = LinearTraining(X, problems, words, job.config.linear, first_label=share.start)
    return replace_rows(before, stack(training.finish(job.progress), X.shape[1]), carried[share])


def _new_labels(job: Job, data: TrainingData, words: sp.csr_matrix) -> Ints:
    """Return labels that only validation documents carry, where they belong on a document's shortlist.

    They were not searched before, so no shortlist names them, and they would be trained without a single negative.
    Returns int32 (N, at most _NEW), padded with L; `words` are the word centroids of this rank's labels.
    """
    prepared, ranks, L = job.read("prepared"), data.ranks, data.Y.shape[1]
    share = ranks.share(L)
    _, Y = own_documents(prepared, slice(0, without_validation(prepared)), ranks)
    is_new = (frequencies_of(data.Y, ranks) > 0) & (frequencies_of(Y, ranks) == 0)
    bonus = job.read("labels").array_rows("bonus.npy", share)
    index = WordIndex(words, bonus=bonus, searchable=is_new[share], in_order=False, ranks=ranks)
    no_vectors = np.empty((len(data.rows), 0), np.float32)
    labels, scores = sharded(index, words.shape[0], ranks).search(no_vectors, min(_NEW, L), X=data.X)
    least = job.read("shortlist").array("scores.npy", mmap=True)[data.rows, -1:]
    return np.where(scores >= least, labels, np.int32(L))


def _of_labels(problems: LabelProblems, wanted: Bools) -> LabelProblems:
    """Return the problems of the labels that are wanted, bool (L',); the others have no documents."""
    sizes = np.diff(problems.offsets)
    kept = np.repeat(wanted, sizes)
    offsets = np.append(0, np.cumsum(np.where(wanted, sizes, 0)))
    return LabelProblems(offsets, problems.documents[kept], problems.signs[kept])


def replace_rows(matrix: sp.csr_matrix, others: sp.csr_matrix, chosen: Bools) -> sp.csr_matrix:
    """Return a CSR matrix (L, F) with the rows of `others` (L, F) where `chosen`, bool (L,), says so."""
    place = np.arange(len(chosen)) + np.where(chosen, len(chosen), 0)
    return sp.vstack([matrix, others], format="csr")[place]
