"""A training pass: what it makes against the formula, its gradients against autograd's."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xmlcli.config.sections import ModelConfig
from xmlcli.encoder.encoder import Encoder
from xmlcli.encoder.head import HeadPass, draw_kept

OURS = ModelConfig(dim=8, start="spectral", document_norm=0.5, activation="gelu", dropout=0.4, residual=True)


def bent(config: ModelConfig) -> Encoder:
    """An encoder whose residual block is no longer at its start, nor its spectral norm settled."""
    encoder, generator = Encoder(30, config, seed=0), torch.Generator().manual_seed(0)
    if encoder.residual is not None:
        encoder.residual.weight.data += 0.3 * torch.randn(8, 8, generator=generator)
        encoder.residual.bias.data += 0.1 * torch.randn(8, generator=generator)
    return encoder


def written_out(encoder: Encoder, bags: torch.Tensor, kept: list[torch.Tensor]) -> torch.Tensor:
    """What a pass makes, with the dropout of k1 and k2, for autograd."""
    z = {"relu": F.relu, "gelu": F.gelu}[encoder.activation](bags)
    z = z * kept[0] if kept else z
    if encoder.residual is None:
        return z
    encoder.residual.power_step()
    W, u, v = encoder.residual.weight, encoder.residual.u.clone(), encoder.residual.v.clone()
    added = F.relu(z @ (W / (u @ W @ v)).T + encoder.residual.bias)
    return z + (added * kept[1] if kept else added)


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("config", [OURS, replace(OURS, residual=False), replace(OURS, activation="relu")])
def test_a_pass_and_its_gradients_are_the_formulas(config: ModelConfig, rate: float) -> None:
    encoder, generator = bent(config), torch.Generator().manual_seed(1)
    reference = copy.deepcopy(encoder)
    bags, by_vectors = (torch.randn(20, 8, generator=generator) for _ in range(2))
    layers = 1 if encoder.residual is None else 2
    kept = [torch.from_numpy(k) for k in draw_kept(layers, 20, 8, rate, np.random.default_rng(0))]
    assert len(kept) == (layers if rate else 0)
    theirs = bags.clone().requires_grad_()
    for _ in range(2):  # the second pass begins from the first one's u and v
        wanted = written_out(reference, theirs, kept)
        found = HeadPass(encoder, bags, kept)
        by_bags = found.backward(by_vectors)
    wanted.backward(by_vectors)
    assert torch.allclose(found.vectors, wanted, atol=1e-6)
    assert theirs.grad is not None
    assert torch.allclose(by_bags, theirs.grad, atol=1e-5)
    if encoder.residual is not None:
        assert reference.residual is not None
        for name in ("weight", "bias"):
            ours, autograds = (getattr(e.residual, name).grad for e in (encoder, reference))
            assert torch.allclose(ours, autograds, atol=1e-5), name


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.5, 1.0])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    first, second = draw_kept(2, 400, 50, rate, np.random.default_rng(0))
    for kept in (first, second):
        assert (kept.dtype, kept.shape) == (np.float32, (400, 50))
        assert (kept == 0).mean() == pytest.approx(rate, abs=0.02)
        assert len(np.unique(kept)) <= 2
        assert kept.mean() == pytest.approx(1 if rate < 1 else 0, abs=0.03)
    assert rate == 1 or (first == second).mean() < 0.95


def test_the_smallest_rate_drops_one_entry_of_256() -> None:
    (kept,) = draw_kept(1, 1000, 200, 1 / 256, np.random.default_rng(0))
    assert (kept == 0).mean() == pytest.approx(1 / 256, rel=0.2)
    assert kept.max() == np.float32(256 / 255)


def test_no_dropout_is_nothing_to_multiply_with() -> None:
    assert draw_kept(2, 3, 8, 0.0, np.random.default_rng(0)) == []
    assert [k.shape for k in draw_kept(1, 3, 5, 0.5, np.random.default_rng(0))] == [(3, 5)]
