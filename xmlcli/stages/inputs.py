"""What several stages make of their inputs."""

from __future__ import annotations

import scipy.sparse as sp
import torch
import torch.nn.functional as F

from xmlcli.artifacts import Artifact
from xmlcli.encoder import Encoder, encode
from xmlcli.model import load_encoder
from xmlcli.stages.job import Job


def encoder_of(job: Job) -> Encoder:
    """Return the encoder of the job's `clf`, on its device."""
    return load_encoder(job.read("clf").tensors("model.safetensors"), job.config.model, device=job.device)


def label_text(prepared: Artifact) -> sp.csr_matrix | None:
    """Return the features of the labels' own texts, float32 CSR (L, F), or None."""
    return prepared.csr("label_text_X.npz") if prepared.has("label_text_X.npz") else None


def label_text_vectors(encoder: Encoder, prepared: Artifact) -> torch.Tensor | None:
    """Return the unit vectors of the labels' own texts, float32 (L, D), zero rows where there is none, or None."""
    X = label_text(prepared)
    if X is None:
        return None
    there = torch.from_numpy(X.getnnz(axis=1) > 0).to(encoder.tokens.device)
    return F.normalize(encode(encoder, X), dim=1) * there[:, None]
