"""Stage embed-labels, phase 1: label embeddings from the current encoder's document vectors."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F

from xmlcli.encoder import encode
from xmlcli.label_embeddings import Centroids, ProxyMap, embed_labels, train_proxy
from xmlcli.neighbours import choose_prior
from xmlcli.stages.inputs import encoder_of, label_text, label_text_vectors
from xmlcli.stages.job import Job
from xmlcli.word_index import label_frequencies, word_centroids

VERSION = 2
SECTIONS = ("seed", "model", "proxy")

_SHORTLIST = 100  # length at which the recall of a prior is measured
_VALIDATED = 1000  # documents on which it is, at most


def run(job: Job) -> None:
    """Train the proxy map, which carries over from the cycle before, and write the artifact `labels`."""
    config, prepared, cycle = job.config.proxy, job.read("prepared"), job.call.cycle
    encoder = encoder_of(job)
    X, Y = prepared.csr("X_train.npz"), prepared.csr("Y_train.npz")
    documents = encode(encoder, X, progress=job.progress)
    if config.unit_vectors:
        documents = F.normalize(documents, dim=1)
    centroids = Centroids(documents, Y, label_text_vectors(encoder, prepared) if config.label_text else None)
    g = ProxyMap(encoder.dim, config, seed=job.config.seed).to(job.device)
    if job.has("labels"):
        g.load_state_dict(job.read("labels").tensors("proxy.safetensors"))
    generator = np.random.default_rng((job.config.seed, cycle or 0))
    loss = train_proxy(g, documents, centroids, Y, config, generator=generator, progress=job.progress)
    frequencies, words, prior = label_frequencies(Y), None, config.priors[0]
    if config.words:
        words = word_centroids(X, Y, label_text(prepared) if config.label_text else None)
        X_validation, Y_validation = prepared.csr("X_validation.npz"), prepared.csr("Y_validation.npz")
        held_out = slice(0, _VALIDATED)
        prior = choose_prior(
            words, frequencies, config.priors, X_validation[held_out], Y_validation[held_out], _SHORTLIST
        )
    with job.write() as out:
        out.array("Z.npy", embed_labels(g, centroids, has_map=config.epochs > 0))
        out.array("bonus.npy", (prior * np.log1p(frequencies)).astype(np.float32))
        if words is not None:
            out.csr("words.npz", words)
        out.tensors("proxy.safetensors", {name: tensor.cpu() for name, tensor in g.state_dict().items()})
        out.json("report.json", {"proxy_loss": loss, "prior": prior})
