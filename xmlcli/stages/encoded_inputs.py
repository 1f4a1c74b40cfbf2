"""Inputs that need torch: the encoder of the last cycle, and vectors of label texts that it has encoded."""

from __future__ import annotations

import scipy.sparse as sp
import torch
import torch.nn.functional as F

from xmlcli.classifiers.tensor_names import ENCODER
from xmlcli.classifiers.training_state import load_encoder
from xmlcli.encoder.encoder import Encoder, encode
from xmlcli.stages.job import Job


def encoder_of(job: Job) -> Encoder:
    """Return the encoder of the job's `clf`, on its device."""
    tensors = job.read("clf").tensors("model.safetensors", ENCODER)
    return load_encoder(tensors, job.config.model, device=job.device)


def label_text_vectors(encoder: Encoder, X: sp.csr_matrix | None) -> torch.Tensor | None:
    """Return the unit vectors of the labels' own texts X (L, F), float32 (L, D); None without texts.

    A label without text has a row of zeros.
    """
    if X is None:
        return None
    there = torch.from_numpy(X.getnnz(axis=1) > 0).to(encoder.tokens.device)
    return F.normalize(encode(encoder, X), dim=1) * there[:, None]
