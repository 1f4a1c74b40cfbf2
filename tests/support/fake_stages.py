"""Stages that do next to nothing, to run plans without the real ones: each copies a number on and adds one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from support.paths import PIPELINES

from xmlcli.classifiers.training_state import Classifiers, TrainingState
from xmlcli.config.load import load_config
from xmlcli.config.sections import Config, ModelConfig
from xmlcli.encoder.encoder import Encoder
from xmlcli.runs.runner import Session
from xmlcli.runs.stage_registry import Stage
from xmlcli.stages.job import Job
from xmlcli.storage.workspace import Workspace

N, N_VALIDATION, N_TEST, F, L, D, K = 6, 2, 3, 5, 4, 2, 3
PIPELINE = PIPELINES / "default.yaml"


def make_config(**overrides: object) -> Config:
    """The default pipeline with overrides, dots written as two underscores."""
    every: dict[str, object] = {"measure_every_cycle": True}
    return load_config(PIPELINE, every | {key.replace("__", "."): value for key, value in overrides.items()})


def make_session(root: Path, config: Config | None = None, stages: dict[str, Stage] | None = None) -> Session:
    """A session over the fake stages, on the CPU."""
    chosen = FAKES | (stages or {})
    return Session(Workspace(root, "demo"), config or make_config(), device="cpu", registry=chosen.__getitem__)


def drawn_state(
    num_tokens: int, num_labels: int, config: ModelConfig, optimiser: str, *, device: str = "cpu"
) -> TrainingState:
    """A model whose token vectors are drawn at random."""
    encoder, classifiers = Encoder(num_tokens, config, seed=0), Classifiers(num_labels, config.dim)
    return TrainingState(encoder, classifiers, optimiser, device=device)


def csr(rows: int, columns: int) -> sp.csr_matrix:
    """A small float32 matrix of ones on a diagonal."""
    return sp.csr_matrix(np.eye(rows, columns, dtype=np.float32))


def prepare(job: Job) -> None:
    with job.write() as out:
        for split, rows in (("train", N), ("test", N_TEST)):
            out.csr(f"X_{split}.npz", csr(rows, F))
            out.csr(f"Y_{split}.npz", csr(rows, L))
        out.array("validation_rows.npy", np.arange(N_VALIDATION, dtype=np.int64))
        out.array("inverse_propensity.npy", np.full(L, 2, dtype=np.float32))
        out.csr("label_words.npz", sp.random(L, F, 0.5, format="csr", dtype=np.float32, random_state=0))
        out.csr("label_text_X.npz", csr(L, F))
        documents = {"training_rows": N, "test_rows": N_TEST, "labels_per_document": 1.25}
        counts = {"features": F, "char_ngrams": 2, "labels": L, "min_df": job.config.prepare.min_df}
        out.json("prepared.json", documents | counts)


def write_clf(job: Job, value: float) -> None:
    with job.write() as out:
        out.tensors("model.safetensors", {"w": torch.full((D,), value)})
        out.tensors("optimiser.safetensors", {"step": torch.zeros(1)})
        out.json("state.json", {"epochs": job.config.clf.epochs, "documents": N})


def init_clf(job: Job) -> None:
    job.read("prepared")
    write_clf(job, float(job.config.model.dim))


def embed_labels(job: Job) -> None:
    value = float(job.read("clf").tensors("model.safetensors")["w"][0])
    if job.has("labels"):
        value += float(job.read("labels").array("Z.npy")[0, 0])
    with job.write() as out:
        out.array("Z.npy", np.full((L, D), value + job.config.proxy.epochs, dtype=np.float32))
        out.array("bonus.npy", np.zeros(L, dtype=np.float32))
        out.tensors("proxy.safetensors", {"g": torch.zeros(2)})
        out.json("report.json", {"recall": 0.5})


def shortlist(job: Job) -> None:
    job.read("prepared"), job.read("labels")
    with job.write() as out:
        out.array("indices.npy", np.zeros((N, K), dtype=np.int32))
        out.array("scores.npy", np.zeros((N, K), dtype=np.float32))
        out.json("report.json", {"recall": 0.75})


def train_clf(job: Job) -> None:
    job.read("prepared"), job.read("shortlist")
    write_clf(job, float(job.read("labels").array("Z.npy")[0, 0]) + job.config.clf.epochs)


def combine(job: Job) -> None:
    job.read("prepared"), job.read("clf"), job.read("labels")
    with job.write() as out:
        out.json("combination.json", {"kind": "authors", "coefficients": {"beta": 0.5}})
        out.json("report.json", {"top_k": job.config.evaluate.top_k, "metrics": {}})


def finish(job: Job) -> None:
    job.read("prepared"), job.read("shortlist")
    write_clf(job, float(job.read("clf").tensors("model.safetensors")["w"][0]) + job.config.linear.C)


def evaluate(job: Job) -> None:
    job.read("prepared"), job.read("clf"), job.read("labels"), job.read("combination")
    job.notes["predict_ms_per_document"] = 0.25
    with job.write() as out:
        out.array("test_top.npy", np.tile(np.arange(K, dtype=np.int32), (N_TEST, 1)))
        values = {"P@1": 33.25, "PSP@5": 12.5, "P@5": 20.0}
        about = {"documents": N_TEST, "labels": N_TEST, "unseen_labels": 0.25}
        of = {"validation": about | {"shortlist_recall": 0.5}, "test": about}
        out.json("metrics.json", {**values, "validation": values, "oracle": {"P@1": 90.0}, "of": of})
        out.json("report.json", {"calibration": None})


def stage(run: Callable[[Job], None], *sections: str, version: int = 1) -> Stage:
    """A stage made of a function."""
    return Stage(version, sections, lambda: run)


FAKES = {
    "prepare": Stage(1, ("seed", "prepare"), lambda: prepare, lambda: lambda job: {"raw": "1"}),
    "init-clf": stage(init_clf, "seed", "model"),
    "embed-labels": stage(embed_labels, "seed", "proxy"),
    "shortlist": stage(shortlist, "seed", "shortlist"),
    "train-clf": stage(train_clf, "seed", "clf"),
    "combine": stage(combine, "evaluate"),
    "finish": stage(finish, "linear"),
    "evaluate": stage(evaluate, "seed", "evaluate"),
}
