"""Stage embed-labels, phase 1: label embeddings from the current encoder's document vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F

from xmlcli.artifacts import Artifact
from xmlcli.encoder import encode
from xmlcli.label_embeddings import Centroids, ProxyMap, embed_labels, train_proxy
from xmlcli.neighbours import choose_prior
from xmlcli.stages.inputs import encoder_of, label_text_vectors
from xmlcli.stages.job import Job
from xmlcli.word_index import label_frequencies

VERSION = 3
SECTIONS = ("seed", "model", "proxy")

Floats = npt.NDArray[np.float32]

_SHORTLIST = 100  # length at which the recall of a prior is measured
_VALIDATED = 1000  # documents on which it is, at most


def run(job: Job) -> None:
    """Train the proxy map and write the artifact `labels`; the map and the prior carry over from the cycle before."""
    config, prepared, cycle = job.config.proxy, job.read("prepared"), job.call.cycle
    encoder = encoder_of(job)
    X, Y = prepared.csr("X_train.npz"), prepared.csr("Y_train.npz")
    documents = encode(encoder, X, progress=job.progress)
    if config.unit_vectors:
        documents = F.normalize(documents, dim=1)
    centroids = Centroids(documents, Y, label_text_vectors(encoder, prepared) if config.label_text else None)
    g = ProxyMap(encoder.dim, config, seed=job.config.seed).to(job.device)
    carried = job.read("labels") if job.has("labels") else None
    if carried is not None:
        g.load_state_dict(carried.tensors("proxy.safetensors"))
    generator = np.random.default_rng((job.config.seed, cycle or 0))
    loss = train_proxy(g, documents, centroids, Y, config, generator=generator, progress=job.progress)
    frequencies = label_frequencies(Y)
    prior = _choose_prior(job, prepared, frequencies) if carried is None else carried.json("report.json")["prior"]
    with job.write() as out:
        out.array("Z.npy", embed_labels(g, centroids, has_map=config.epochs > 0))
        out.array("bonus.npy", (prior * np.log1p(frequencies)).astype(np.float32))
        out.tensors("proxy.safetensors", {name: tensor.cpu() for name, tensor in g.state_dict().items()})
        out.json("report.json", {"proxy_loss": loss, "prior": prior})


def _choose_prior(job: Job, prepared: Artifact, frequencies: Floats) -> float:
    """Choose the prior on validation documents; it depends on words alone, so the first cycle chooses for all."""
    X, Y = prepared.csr("X_validation.npz")[:_VALIDATED], prepared.csr("Y_validation.npz")[:_VALIDATED]
    return choose_prior(prepared.csr("label_words.npz"), frequencies, job.config.proxy.priors, X, Y, _SHORTLIST)
