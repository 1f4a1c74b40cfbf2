"""What several stages make of their inputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from xmlcli.artifacts import Artifact
from xmlcli.encoder import Encoder, encode
from xmlcli.model import Classifiers, load_predictor
from xmlcli.neighbours import LabelVectors
from xmlcli.stages.job import Job


def predictor(job: Job) -> tuple[Encoder, Classifiers]:
    """Return encoder and classifiers of the job's `clf`, on its device."""
    return load_predictor(job.read("clf").tensors("model.safetensors"), job.config.model, device=job.device)


def label_texts(encoder: Encoder, prepared: Artifact) -> torch.Tensor | None:
    """Return the unit vectors of the labels' own texts, float32 (L, D), zero rows where there is none, or None."""
    if not prepared.has("label_text_X.npz"):
        return None
    X = prepared.csr("label_text_X.npz")
    there = torch.from_numpy(X.getnnz(axis=1) > 0).to(encoder.tokens.device)
    return F.normalize(encode(encoder, X), dim=1) * there[:, None]


def label_vectors(labels: Artifact) -> LabelVectors:
    """Return what the labels are searched by."""
    words = labels.csr("words.npz") if labels.has("words.npz") else None
    return LabelVectors(labels.array("Z.npy"), labels.array("known.npy"), words)
