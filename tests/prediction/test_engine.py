"""Prediction without torch against the encoder that was trained, and blocks against a whole."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
import torch
from support.fake_stages import drawn_state
from support.planted_data import collection, unit_rows

from xmlcli.classifiers.training_state import TrainingState
from xmlcli.config.sections import ModelConfig
from xmlcli.encoder.encoder import encode, unit
from xmlcli.label_embeddings.word_centroids import label_frequencies, word_centroids
from xmlcli.prediction import engine
from xmlcli.prediction.engine import DocumentEncoder, Engine
from xmlcli.prediction.scores import DEFAULT, Scores, rank
from xmlcli.shortlists.word_index import WordIndex

GELU = ModelConfig(dim=8, start="spectral", document_norm=0.5, activation="gelu", dropout=0.5, residual=True)
L = 9
X, Y = collection(60, L, 0)


def bent_model(config: ModelConfig) -> TrainingState:
    """A model whose residual block is neither at its start nor settled, and whose biases are not zero."""
    model = drawn_state(X.shape[1], L, config, "adam")
    generator = torch.Generator().manual_seed(0)
    model.encoder.tokens.data = 2 * torch.randn(X.shape[1], config.dim, generator=generator)
    if model.encoder.residual is not None:
        model.encoder.residual.weight.data += 0.3 * torch.randn(config.dim, config.dim, generator=generator)
        model.encoder.residual.bias.data += 0.3 * torch.randn(config.dim, generator=generator)
    return model


def arrays(model: TrainingState) -> dict[str, npt.NDArray[np.float32]]:
    return {name: tensor.numpy() for name, tensor in model.tensors().items()}


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("start", ["spectral", "random"])
def test_documents_get_the_vectors_of_the_encoder_that_was_trained(start: str, activation: str, residual: bool) -> None:
    model = bent_model(replace(GELU, start=start, activation=activation, residual=residual))
    documents = X.tolil()
    documents[[0, 59]] = 0
    documents = documents.tocsr().astype(np.float32)
    found = DocumentEncoder.of(arrays(model), activation)(documents)
    assert (found.dtype, found.shape) == (np.float32, (60, 8))
    assert np.allclose(found, encode(model.encoder, documents), rtol=1e-5, atol=1e-5)
    assert DocumentEncoder.of(arrays(model), activation)(documents[:0]).shape == (0, 8)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_unit_vectors_of_many_documents_are_made_block_by_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bent_model(GELU)
    documents = X.tolil()
    documents[7] = 0
    documents = documents.tocsr().astype(np.float32)
    encoder = DocumentEncoder.of(arrays(model), "gelu")
    encoder.residual[1][:] = 0  # so that a document without a word has no vector
    sizes: list[int] = []

    def call(self: DocumentEncoder, X: sp.csr_matrix) -> npt.NDArray[np.float32]:
        sizes.append(X.shape[0])
        return whole(self, X)

    whole = DocumentEncoder.__call__
    wanted = encoder(documents)
    monkeypatch.setattr(DocumentEncoder, "__call__", call)
    monkeypatch.setattr(engine, "_BLOCK", block)
    found = encoder.unit(documents)
    lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.allclose(found, wanted / np.maximum(lengths, 1e-12), atol=1e-6)
    assert not found[7].any()
    assert max(sizes) == min(block, 60)
    assert encoder.unit(documents[:0]).shape == (0, 8)


def an_engine(size: int) -> Engine:
    model = bent_model(GELU)
    words, frequencies, Z = word_centroids(X, Y, None), label_frequencies(Y), unit_rows(L, 8, 0)
    bonus = 0.02 * np.log1p(frequencies)
    index = WordIndex(words, Z, bonus=bonus, searchable=np.arange(L) != 4, share=0.1)
    weight, bias = unit_rows(L, 8, 1), np.linspace(-1, 1, L, dtype=np.float32)
    scores = Scores(weight, bias, Z, frequencies, None, None)
    return Engine(DocumentEncoder.of(arrays(model), "gelu"), index, scores, size, DEFAULT)


@pytest.mark.parametrize(("size", "k"), [(5, 3), (9, 9), (2, 4)])
def test_an_engine_ranks_what_its_parts_give(size: int, k: int) -> None:
    engine, model = an_engine(size), bent_model(GELU)
    documents = encode(model.encoder, X)
    candidates, near = engine.index.search(unit(documents), size, X=X)
    parts = engine.scores(X, documents.numpy(), candidates) | {"search": np.where(candidates < L, near, 0)}
    shortlist, scores = engine.score(X)
    assert shortlist.tolist() == candidates.tolist()
    assert scores.keys() == parts.keys()
    assert all(np.allclose(scores[name], part, atol=1e-4) for name, part in parts.items())
    wanted, best = rank(DEFAULT.combine(parts, candidates, L), candidates, k, L)
    labels, found = engine.rank(X, k)
    assert (labels.dtype, found.dtype) == (np.int32, np.float32)
    assert labels.tolist() == wanted.tolist()
    assert np.allclose(found, best, atol=1e-4)
    assert not (labels == 4).any()


def test_blocks_of_documents_rank_like_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seen = an_engine(5), []
    labels, best = engine.rank(X, 7)
    monkeypatch.setattr("xmlcli.prediction.engine._BLOCK", 16)
    again, scores = engine.rank(X, 7, progress=lambda *report: seen.append(report))
    assert labels.tolist() == again.tolist()
    assert np.allclose(best, scores, atol=1e-6)
    assert seen == [("predict", done, 60) for done in (16, 32, 48, 60)]


def test_no_documents_are_ranked_to_no_rows() -> None:
    labels, best = an_engine(5).rank(sp.csr_matrix((0, X.shape[1]), dtype=np.float32), 3)
    assert labels.shape == best.shape == (0, 3)


def test_prediction_imports_no_torch() -> None:
    code = "import sys, xmlcli.prediction.engine, xmlcli.storage.artifacts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
