"""Stage embed-labels, phase 1: label embeddings from the current encoder's document vectors.

They are made of the documents that the model has learnt from: all training documents after the stage `finish`, all but
those for validation before.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import scipy.sparse as sp
import torch

from xmlcli.arrays import Floats
from xmlcli.encoder.encoder import Encoder, encode
from xmlcli.label_embeddings.centroids import Centroids
from xmlcli.label_embeddings.proxy import ProxyMap, embed_labels, train_proxy
from xmlcli.label_embeddings.word_centroids import label_frequencies
from xmlcli.shortlists.bonus import choose_bonus, label_bonus
from xmlcli.stages.encoded_inputs import encoder_of, label_text_vectors
from xmlcli.stages.inputs import (
    all_rows,
    carriers,
    label_text,
    label_words,
    learnt_from,
    own_documents,
    validation_rows,
)
from xmlcli.stages.job import Job
from xmlcli.storage.artifacts import Artifact

VERSION = 6
SECTIONS = ("seed", "model", "proxy")

_VALIDATED = 1000  # documents on which the recall of a bonus is measured, at most
_SHORTEST = 1e-12  # vector that is scaled to unit length, as in torch's normalize


def run(job: Job) -> None:
    """Train the proxy map and write the artifact `labels`; the map and the bonus carry over from the cycle before."""
    config, prepared, cycle, ranks = job.config.proxy, job.read("prepared"), job.call.cycle, job.ranks
    encoder = encoder_of(job)
    count = learnt_from(job.read("clf"))
    documents, Y = _encoded(job, prepared, encoder, count)
    of_labels, text = carriers(prepared, Y, count, ranks), label_text(prepared, ranks) if config.label_text else None
    vectors = ranks.fetch_rows(documents.cpu().numpy(), of_labels.rows, count)
    centroids = Centroids(
        torch.from_numpy(vectors).to(job.device), of_labels.Y, label_text_vectors(encoder, text), ranks
    )
    g = ProxyMap(encoder.dim, config, seed=job.config.seed).to(job.device)
    carried = job.read("labels") if job.has("labels") else None
    if carried is not None:
        g.load_state_dict(carried.tensors("proxy.safetensors"))
    generator = np.random.default_rng((job.config.seed, cycle or 0))
    pairs = all_rows(prepared, "Y_train.npz", Y, count, ranks)
    loss = train_proxy(g, documents, centroids, pairs, config, generator=generator, ranks=ranks, progress=job.progress)
    frequencies = label_frequencies(of_labels.Y)
    bonus = carried.json("report.json")["bonus"] if carried else _choose_bonus(job, prepared, frequencies, count)
    job.note_label_rows(len(frequencies))
    with job.write() as out:
        out.rows("Z.npy", embed_labels(g, centroids, has_map=config.epochs > 0))
        out.rows("bonus.npy", label_bonus(frequencies, count, **bonus))
        out.tensors("proxy.safetensors", {name: tensor.cpu() for name, tensor in g.state_dict().items()})
        out.json("report.json", {"proxy_loss": loss, "bonus": bonus})


def _encoded(job: Job, prepared: Artifact, encoder: Encoder, count: int) -> tuple[torch.Tensor, sp.csr_matrix]:
    """Return the vectors of this rank's part of the first `count` documents, float32 (n, D), and labels, CSR (n, L)."""
    X, Y = own_documents(prepared, slice(0, count), job.ranks)
    documents = encode(encoder, X, progress=job.progress)
    if job.config.proxy.unit_vectors:
        documents /= documents.norm(dim=1, keepdim=True).clamp_min(_SHORTEST)
    return documents, Y


def _choose_bonus(job: Job, prepared: Artifact, frequencies: Floats, count: int) -> dict[str, float]:
    """Choose `label_bonus` on validation documents; it depends on words alone, so the first cycle chooses for all."""
    config = job.config.proxy
    X, Y = own_documents(prepared, validation_rows(prepared, _VALIDATED), job.ranks)
    words = label_words(prepared, count, job.ranks)
    choices = [{"prior": prior, "base_rate": rate} for prior, rate in product(config.priors, config.base_rates)]
    bonuses = [label_bonus(frequencies, count, **choice) for choice in choices]
    return choices[choose_bonus(words, bonuses, frequencies > 0, X, Y, job.ranks)]
