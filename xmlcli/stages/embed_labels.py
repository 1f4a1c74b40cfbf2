"""Stage embed-labels, phase 1: label embeddings from the current encoder's document vectors."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F

from xmlcli.encoder import encode
from xmlcli.label_embeddings import Centroids, ProxyMap, embed_labels, train_proxy, word_centroids
from xmlcli.stages.inputs import label_texts, predictor
from xmlcli.stages.job import Job

VERSION = 1
SECTIONS = ("seed", "model", "proxy")


def run(job: Job) -> None:
    """Train the proxy map, which carries over from the cycle before, and write the artifact `labels`."""
    config, prepared, cycle = job.config.proxy, job.read("prepared"), job.call.cycle
    encoder, _ = predictor(job)
    X, Y = prepared.csr("X_train.npz"), prepared.csr("Y_train.npz")
    documents = encode(encoder, X, progress=job.progress)
    if config.unit_vectors:
        documents = F.normalize(documents, dim=1)
    centroids = Centroids(documents, Y, label_texts(encoder, prepared) if config.label_text else None)
    g = ProxyMap(encoder.dim, config, seed=job.config.seed).to(job.device)
    if job.has("labels"):
        g.load_state_dict(job.read("labels").tensors("proxy.safetensors"))
    generator = np.random.default_rng((job.config.seed, cycle or 0))
    loss = train_proxy(g, documents, centroids, Y, config, generator=generator, progress=job.progress)
    words = None
    if config.words:
        text = prepared.csr("label_text_X.npz") if config.label_text and prepared.has("label_text_X.npz") else None
        words = word_centroids(X, Y, text)
    with job.write() as out:
        out.array("Z.npy", embed_labels(g, centroids, has_map=config.epochs > 0))
        out.array("known.npy", centroids.known())
        if words is not None:
            out.csr("words.npz", words)
        out.tensors("proxy.safetensors", {name: tensor.cpu() for name, tensor in g.state_dict().items()})
        out.json("report.json", {"proxy_loss": loss})
