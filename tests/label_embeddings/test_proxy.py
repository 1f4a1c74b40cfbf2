"""The proxy's loss against the formula, and what training it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from support.carried_labels import problem

from xmlcli.config.sections import ProxyConfig
from xmlcli.label_embeddings.centroids import Centroids
from xmlcli.label_embeddings.proxy import ProxyMap, embed_labels, train_proxy

OURS = ProxyConfig(
    epochs=3, learning_rate=0.01, decay=True, batch_size=16, max_pairs=10**9, start="identity", hidden=1,
    unit_vectors=True, leave_one_out=True, label_text=True, priors=(0.0,), base_rates=(0.0,),
)  # fmt: skip
AUTHORS = replace(OURS, decay=False, start="random", hidden=12, unit_vectors=False, leave_one_out=False)


def train(config: ProxyConfig, seed: int = 0) -> tuple[float, ProxyMap]:
    documents, Y = problem()
    g = ProxyMap(6, config, seed=seed)
    centroids = Centroids(documents, Y, None)
    return train_proxy(g, documents, centroids, Y, config, generator=np.random.default_rng(seed)), g


def naive_loss(g: ProxyMap, *, leave_one_out: bool) -> float:
    """The mean over all pairs of log(1 + |g(c) - x|^2), label by label and document by document."""
    documents, Y = problem()
    values = []
    for label in range(Y.shape[1]):
        own = np.flatnonzero(Y[:, [label]].toarray()[:, 0]).tolist()
        for i in own:
            others = [j for j in own if j != i] if leave_one_out else own
            if others:
                c = torch.stack([documents[j] for j in others]).mean(dim=0)
                values.append(np.log(1 + ((g(c) - documents[i]) ** 2).sum().item()))
    return float(np.mean(values))


@pytest.mark.parametrize("config", [OURS, AUTHORS], ids=["ours", "authors"])
def test_the_loss_is_the_robust_distance_averaged_over_pairs(config: ProxyConfig) -> None:
    loss, _ = train(replace(config, epochs=1, batch_size=1000))
    assert loss == pytest.approx(naive_loss(ProxyMap(6, config, seed=0), leave_one_out=config.leave_one_out), rel=1e-6)


@pytest.mark.parametrize("config", [OURS, AUTHORS], ids=["ours", "authors"])
def test_training_lowers_the_loss(config: ProxyConfig) -> None:
    before = naive_loss(ProxyMap(6, config, seed=0), leave_one_out=config.leave_one_out)
    loss, g = train(replace(config, epochs=20))
    after = naive_loss(g, leave_one_out=config.leave_one_out)
    assert after < loss < before
    assert after < 0.985 * before


@pytest.mark.parametrize(
    ("config", "golden"), [(OURS, 2.0042197401561435), (AUTHORS, 1.9167700409889221)], ids=["ours", "authors"]
)
def test_the_last_epochs_loss_is_the_one_on_record(config: ProxyConfig, golden: float) -> None:
    assert train(config)[0] == pytest.approx(golden, rel=1e-6)


def test_the_seed_decides_everything() -> None:
    state = torch.get_rng_state()
    (loss, g), (again, h), (other, _) = train(AUTHORS), train(AUTHORS), train(AUTHORS, seed=1)
    assert loss == again != other
    assert all(torch.equal(a, b) for a, b in zip(g.parameters(), h.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_without_decay_the_rate_stays() -> None:
    decayed, constant = train(OURS), train(replace(OURS, decay=False))
    assert decayed[0] != constant[0]
    moved = [(next(g.parameters()) - torch.eye(6)).norm() for _, g in (decayed, constant)]
    assert moved[0] < moved[1]


def test_labels_of_one_document_teach_a_leave_one_out_map_nothing() -> None:
    documents = torch.randn(5, 6)
    Y = sp.csr_matrix(np.eye(5, dtype=np.float32))
    g = ProxyMap(6, OURS, seed=0)
    centroids = Centroids(documents, Y, None)
    assert train_proxy(g, documents, centroids, Y, OURS, generator=np.random.default_rng(0)) == 0.0
    assert np.allclose(
        embed_labels(g, centroids, has_map=True), torch.nn.functional.normalize(documents, dim=1), atol=1e-6
    )


def test_no_epochs_leave_the_map_as_it_is() -> None:
    loss, g = train(replace(OURS, epochs=0))
    assert loss == 0.0
    assert torch.equal(next(g.parameters()), torch.eye(6))


@pytest.mark.parametrize("has_map", [True, False])
def test_label_embeddings_are_unit_images_of_the_centroids(has_map: bool) -> None:
    documents, Y = problem()
    g = ProxyMap(6, AUTHORS, seed=3)
    centroids = Centroids(documents, Y, None)
    Z = embed_labels(g, centroids, has_map=has_map)
    assert (Z.dtype, Z.shape) == (np.float32, (9, 6))
    (inner, outer) = g.layers
    for c, z in zip(centroids.means(), Z, strict=True):
        image = outer.weight @ (inner.weight @ c + inner.bias) + outer.bias if has_map else c
        assert np.allclose(z, (image / image.norm().clamp(min=1e-12)).detach(), atol=1e-6)
    assert Z[8].any() == has_map  # g(0) for a label without documents


def test_an_epoch_takes_no_more_pairs_than_allowed() -> None:
    documents, Y = problem()
    seen: list[int] = []
    g = ProxyMap(6, OURS, seed=0)
    train_proxy(
        g, documents, Centroids(documents, Y, None), Y, replace(OURS, max_pairs=20),
        generator=np.random.default_rng(0), progress=lambda _, __, total: seen.append(total),
    )  # fmt: skip
    assert set(seen) == {3 * 2}


def test_the_loss_of_some_pairs_is_their_mean_too() -> None:
    still = replace(OURS, learning_rate=1e-12, epochs=30)
    everything, some = train(still)[0], np.mean([train(replace(still, max_pairs=20), seed)[0] for seed in range(5)])
    assert some == pytest.approx(everything, rel=0.15)
