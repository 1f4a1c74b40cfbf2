"""Stage init-clf: the untrained encoder and classifiers, cycle 0."""

from __future__ import annotations

import torch.nn.functional as F

from xmlcli.encoder import Encoder, encode
from xmlcli.label_embeddings import Centroids
from xmlcli.model import Classifiers, Model, label_frequencies
from xmlcli.stages.inputs import label_texts
from xmlcli.stages.job import Job

VERSION = 1
SECTIONS = ("seed", "model")


def run(job: Job) -> None:
    """Draw token vectors, start the classifiers, and write the artifact `clf` of cycle 0."""
    config, prepared = job.config.model, job.read("prepared")
    X, Y = prepared.csr("X_train.npz"), prepared.csr("Y_train.npz")
    encoder = Encoder(X.shape[1], config, seed=job.config.seed).to(job.device)
    classifiers = Classifiers(Y.shape[1], config.dim)
    if config.start == "random":
        classifiers.start_random(job.config.seed)
    else:
        documents = encode(encoder, X, progress=job.progress)
        centroids = Centroids(F.normalize(documents, dim=1), Y, label_texts(encoder, prepared))
        classifiers.start_at_embeddings(
            F.normalize(centroids.means(), dim=1),
            label_frequencies(Y).to(job.device),
            num_documents=Y.shape[0],
            mean_norm=float(documents.norm(dim=1).mean()),
            scale=config.classifier_scale,
        )
    model = Model(encoder, classifiers, "adagrad", device=job.device)
    with job.write() as out:
        out.tensors("model.safetensors", model.tensors())
        out.json("state.json", {"cycle": 0, "steps": 0})
