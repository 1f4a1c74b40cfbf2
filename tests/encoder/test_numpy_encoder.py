"""The encoder without torch against the one that was trained, and blocks against a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from support.bent_model import GELU, X, arrays, bent_model

from xmlcli.encoder import numpy_encoder
from xmlcli.encoder.encoder import encode
from xmlcli.encoder.numpy_encoder import DocumentEncoder


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
    monkeypatch.setattr(numpy_encoder, "_BLOCK", block)
    found = encoder.unit(documents)
    lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.allclose(found, wanted / np.maximum(lengths, 1e-12), atol=1e-6)
    assert not found[7].any()
    assert max(sizes) == min(block, 60)
    assert encoder.unit(documents[:0]).shape == (0, 8)
