"""Stage init-clf: make the untrained encoder and classifiers, the artifact `clf` of cycle 0."""

from __future__ import annotations

import numpy as np
import torch

from xmlcli.classifiers.tensor_names import has_label_rows
from xmlcli.classifiers.training_state import Classifiers, weight_tensors
from xmlcli.encoder.encoder import Encoder
from xmlcli.encoder.spectral_start import spectral_tokens
from xmlcli.stages.inputs import frequencies_of, label_words, own_documents, without_validation
from xmlcli.stages.job import Job

VERSION = 4
SECTIONS = ("seed", "model")

_SAMPLE = 4096  # documents, whose mean length sets the scale of the token vectors


def run(job: Job) -> None:
    """Initialise the token vectors and the classifiers, and write the artifact `clf` of cycle 0."""
    config, prepared, ranks = job.config.model, job.read("prepared"), job.ranks
    documents = without_validation(prepared)
    X, Y = own_documents(prepared, slice(0, documents), ranks)
    share = ranks.share(Y.shape[1])
    encoder = Encoder(X.shape[1], config, seed=job.config.seed)
    classifiers = Classifiers(share.stop - share.start, config.dim)
    if config.start == "random":
        classifiers.start_random(job.config.seed, before=share.start, after=Y.shape[1] - share.stop)
    else:
        V = spectral_tokens(label_words(prepared, documents, ranks), config.dim, job.config.seed, ranks)
        length = np.linalg.norm(prepared.mapped_csr("X_train.npz")[: min(_SAMPLE, documents)] @ V, axis=1).mean()
        encoder.tokens.data = torch.from_numpy(V * np.float32(config.document_norm / max(length, 1e-12)))
        classifiers.start_at_frequencies(frequencies_of(Y, ranks)[share], documents)
    job.note_label_rows(share.stop - share.start)
    with job.write() as out:
        tensors = weight_tensors(encoder, classifiers)
        out.tensors("model.safetensors", tensors, split=set(filter(has_label_rows, tensors)))
        out.json("state.json", {"cycle": 0, "steps": 0, "documents": documents})
