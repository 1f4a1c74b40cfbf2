"""The encoder against its formula written out, its gradients against autograd's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from support.planted_data import sparse_rows
from torch import nn

from xmlcli.config.sections import ModelConfig
from xmlcli.encoder import encoder as module
from xmlcli.encoder.encoder import Encoder, TokenUse, bag, encode, unit
from xmlcli.kernels.csr import CsrRows

OURS = ModelConfig(dim=8, start="spectral", document_norm=0.5, activation="gelu", dropout=0.5, residual=True)
AUTHORS = replace(OURS, start="random", activation="relu")


def rows_with_gaps(seed: int = 0) -> sp.csr_matrix:
    """Twenty documents of thirty tokens, the first, one in the middle and the last empty."""
    X = sparse_rows(20, 30, 4, np.random.default_rng(seed)).tolil()
    X[[0, 7, 19]] = 0
    return X.tocsr().astype(np.float32)


def bent(config: ModelConfig, seed: int = 0) -> Encoder:
    """An encoder whose residual block is no longer at its start."""
    encoder = Encoder(30, config, seed=seed)
    if encoder.residual is not None:
        generator = torch.Generator().manual_seed(seed)
        encoder.residual.weight.data += 0.3 * torch.randn(8, 8, generator=generator)
        encoder.residual.bias.data += 0.1 * torch.randn(8, generator=generator)
        for _ in range(300):
            encoder.residual.power_step()
    return encoder


@pytest.mark.parametrize("config", [OURS, AUTHORS, replace(OURS, residual=False)], ids=["ours", "authors", "bag"])
def test_encoding_is_the_formula(config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 6)
    encoder, X = bent(config), rows_with_gaps()
    found = encode(encoder, X)
    bags = torch.from_numpy(X.toarray()).double() @ encoder.tokens.double()
    z = {"relu": nn.ReLU(), "gelu": nn.GELU()}[config.activation](bags)
    if encoder.residual is not None:
        W, b = encoder.residual.weight.detach().double(), encoder.residual.bias.detach().double()
        z = z + torch.clamp(z @ W.T / torch.linalg.matrix_norm(W, 2) + b, min=0)
    assert (found.dtype, found.shape) == (torch.float32, (20, 8))
    assert torch.allclose(found.double(), z, atol=1e-5)


def test_no_documents_encode_to_no_rows() -> None:
    assert encode(Encoder(30, OURS, seed=0), sp.csr_matrix((0, 30), dtype=np.float32)).shape == (0, 8)


@pytest.mark.parametrize("config", [OURS, AUTHORS], ids=["ours", "authors"])
def test_an_untrained_encoder_maps_a_document_without_features_to_zero(config: ModelConfig) -> None:
    found = encode(Encoder(30, config, seed=0), rows_with_gaps())
    assert (found[[0, 7, 19]] == 0).all()


def test_the_spectral_start_is_settled_and_the_random_one_is_not() -> None:
    """The authors divide by a random number before the first training pass; ours is 1 from the start."""
    bags = torch.rand(5, 8)
    ours = Encoder(30, replace(OURS, activation="relu"), seed=0)
    assert torch.allclose(ours.head(bags), 2 * bags, atol=1e-5)
    authors = Encoder(30, AUTHORS, seed=0)
    assert not torch.allclose(authors.head(bags), 2 * bags, rtol=0.1)
    assert authors.residual is not None
    authors.residual.power_step()
    assert torch.allclose(authors.head(bags), 2 * bags, atol=1e-5)


def test_token_vectors_are_drawn_from_xaviers_distribution() -> None:
    tokens = Encoder(2000, replace(AUTHORS, dim=64), seed=0).tokens
    bound = (2 * 6 / (2000 + 64)) ** 0.5
    assert bound * 0.99 < tokens.abs().max() <= bound
    assert torch.equal(tokens, Encoder(2000, replace(AUTHORS, dim=64), seed=0).tokens)
    assert not torch.equal(tokens, Encoder(2000, replace(AUTHORS, dim=64), seed=1).tokens)


def test_bags_and_their_token_gradient_are_autograds() -> None:
    X, tokens = rows_with_gaps(), torch.randn(30, 8)
    bags = bag(X, tokens)
    reference = tokens.clone().requires_grad_()
    dense = torch.from_numpy(X.toarray()) @ reference
    assert torch.allclose(bags, dense, atol=1e-6)
    grad = torch.randn(20, 8)
    dense.backward(grad)
    use = TokenUse.of(CsrRows.of(X))
    rows, parts = use.rows, [(0, 5), (5, len(use.rows))]
    total, on_card = (torch.cat([of(grad, *part) for part in parts]) for of in (use.gradient, use._gradient_on_card))
    assert torch.allclose(on_card, total, atol=1e-5)
    assert rows.tolist() == np.unique(X.indices).tolist()
    assert reference.grad is not None
    assert torch.allclose(total, reference.grad[rows], atol=1e-5)
    untouched = np.setdiff1d(np.arange(30), rows)
    assert (reference.grad[untouched] == 0).all()


def test_the_residual_blocks_gradient_is_that_of_dividing_by_its_spectral_norm() -> None:
    encoder = bent(replace(AUTHORS, dropout=0.0))
    assert encoder.residual is not None
    z = torch.rand(6, 8)
    encoder.residual(z).square().sum().backward()
    W = encoder.residual.weight.detach().clone().requires_grad_()
    b = encoder.residual.bias.detach()
    (z + torch.relu(z @ (W / torch.linalg.matrix_norm(W, 2)).T + b)).square().sum().backward()
    assert torch.allclose(encoder.residual.weight.grad, W.grad, atol=1e-4)


def test_unit_rows_are_of_length_one_and_zero_rows_stay() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert np.allclose(unit(vectors), [[0.6, 0.8], [0, 0]])
