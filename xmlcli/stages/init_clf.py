"""Stage init-clf: the untrained encoder and classifiers, cycle 0."""

from __future__ import annotations

import numpy as np
import torch

from xmlcli.encoder import Encoder
from xmlcli.model import Classifiers, Model
from xmlcli.stages.job import Job
from xmlcli.word_index import label_frequencies, spectral_tokens

VERSION = 3
SECTIONS = ("seed", "model")

_SAMPLE = 4096


def run(job: Job) -> None:
    """Start the token vectors and the classifiers, and write the artifact `clf` of cycle 0."""
    config, prepared = job.config.model, job.read("prepared")
    X, Y = prepared.csr("X_train.npz"), prepared.csr("Y_train.npz")
    encoder = Encoder(X.shape[1], config, seed=job.config.seed)
    classifiers = Classifiers(Y.shape[1], config.dim)
    if config.start == "random":
        classifiers.start_random(job.config.seed)
    else:
        V = spectral_tokens(prepared.csr("label_words.npz"), config.dim, job.config.seed)
        length = np.linalg.norm(X[:_SAMPLE] @ V, axis=1).mean()
        encoder.tokens.data = torch.from_numpy(V * np.float32(config.document_norm / max(length, 1e-12)))
        classifiers.start_at_frequencies(torch.from_numpy(label_frequencies(Y)), Y.shape[0])
    model = Model(encoder, classifiers, "adagrad", device=job.device)
    with job.write() as out:
        out.tensors("model.safetensors", model.tensors())
        out.json("state.json", {"cycle": 0, "steps": 0})
