"""Stage embed-labels, phase 1: label embeddings from the current encoder's document vectors."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from xmlcli.encoder import encode
from xmlcli.label_embeddings import Centroids, ProxyMap, embed_labels, train_proxy
from xmlcli.neighbours import choose_prior
from xmlcli.stages.inputs import encoder_of, label_text_vectors
from xmlcli.stages.job import Job
from xmlcli.stages.owned import all_rows, carriers, label_text, own_documents
from xmlcli.word_index import label_frequencies, word_centroids

VERSION = 2
SECTIONS = ("seed", "model", "proxy")

_SHORTLIST = 100  # length at which the recall of a prior is measured
_VALIDATED = 1000  # documents on which it is, at most


def run(job: Job) -> None:
    """Train the proxy map, which carries over from the cycle before, and write the artifact `labels`."""
    config, prepared, cycle, ranks = job.config.proxy, job.read("prepared"), job.call.cycle, job.ranks
    encoder = encoder_of(job)
    X, Y = own_documents(prepared, "train", ranks)
    documents = encode(encoder, X, progress=job.progress)
    if config.unit_vectors:
        documents = F.normalize(documents, dim=1)
    of_labels, text = carriers(prepared, X, Y, ranks), label_text(prepared, ranks) if config.label_text else None
    vectors = ranks.collect(documents.cpu().numpy(), of_labels.rows, prepared.dims["N"])
    centroids = Centroids(
        torch.from_numpy(vectors).to(job.device), of_labels.Y, label_text_vectors(encoder, text), ranks
    )
    g = ProxyMap(encoder.dim, config, seed=job.config.seed).to(job.device)
    if job.has("labels"):
        g.load_state_dict(job.read("labels").tensors("proxy.safetensors"))
    generator = np.random.default_rng((job.config.seed, cycle or 0))
    pairs = all_rows(prepared, "Y_train.npz", Y, ranks)
    loss = train_proxy(g, documents, centroids, pairs, config, generator=generator, ranks=ranks, progress=job.progress)
    frequencies, words, prior = label_frequencies(of_labels.Y), None, config.priors[0]
    if config.words:
        words = word_centroids(of_labels.X, of_labels.Y, text)
        X_validation, Y_validation = own_documents(prepared, "validation", ranks, _VALIDATED)
        prior = choose_prior(words, frequencies, config.priors, X_validation, Y_validation, _SHORTLIST, ranks)
    job.note_label_rows(len(frequencies))
    with job.write() as out:
        out.rows("Z.npy", embed_labels(g, centroids, has_map=config.epochs > 0))
        out.rows("bonus.npy", (prior * np.log1p(frequencies)).astype(np.float32))
        if words is not None:
            out.csr_rows("words.npz", words)
        out.tensors("proxy.safetensors", {name: tensor.cpu() for name, tensor in g.state_dict().items()})
        out.json("report.json", {"proxy_loss": loss, "prior": prior})
