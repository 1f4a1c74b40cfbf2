"""Gradients of the masked logistic loss: their precision, a rank without labels, the sizes of slices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.fake_stages import drawn_state
from support.training_batches import BATCH, batch

from xmlcli.classifiers import label_gradients
from xmlcli.classifiers.targets import Targets, draw_targets
from xmlcli.config.sections import ModelConfig

ENCODER = ModelConfig(dim=6, start="spectral", document_norm=0.5, activation="gelu", dropout=0.0, residual=True)


def test_gradients_in_half_precision_are_near_those_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    Y, shortlist = batch(0, L=40)
    targets = draw_targets(Y, shortlist, np.arange(38), BATCH, np.random.default_rng(0))
    model = drawn_state(20, 40, replace(ENCODER, dim=32), "adam")
    model.classifiers.start_random(1)
    documents = torch.nn.functional.normalize(torch.randn(12, 32, generator=torch.Generator().manual_seed(3)), dim=1)
    found: dict[torch.dtype, list[torch.Tensor]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(label_gradients, "matrix_dtype", lambda device, dtype=dtype: dtype)
        moved: list[torch.Tensor] = []
        with ThreadPoolExecutor(1) as pool:
            by_documents = label_gradients.label_gradients(
                documents, model.classifiers, targets, lambda labels, *grads, moved=moved: moved.extend(grads), pool
            )
        assert [grad.shape for grad in moved] == [(len(targets.labels), 32), (len(targets.labels), 1)]
        found[dtype] = [by_documents, *moved]
    for full, half in zip(found[torch.float32], found[torch.bfloat16], strict=True):
        assert half.dtype == torch.float32
        assert (full - half).abs().max() < 0.02 * full.abs().max()
        assert not torch.equal(full, half)


def test_a_rank_none_of_whose_labels_is_in_the_batch_adds_nothing() -> None:
    none = np.zeros(0, np.int64)
    model = drawn_state(20, 15, ENCODER, "adam")
    with ThreadPoolExecutor(1) as pool:
        found = label_gradients.label_gradients(
            torch.ones(4, 6), model.classifiers, Targets(none, none, none, None), lambda *_: pytest.fail("moved"), pool
        )
    assert found.tolist() == torch.zeros(4, 6).tolist()


def test_sizes_are_rounded_up_to_a_multiple() -> None:
    assert [label_gradients.multiple(n, 32) for n in (0, 1, 32, 33, 129)] == [32, 32, 32, 64, 160]


@pytest.mark.parametrize("threads", [1, 2, 5, 16])
def test_slices_cover_the_labels_in_whole_turns_of_the_threads(threads: int) -> None:
    for U in (1, 31, 32, 33, 900, 1024, 1025, 1800, 3000, 12_345):
        size = label_gradients.slice_size(U, threads)
        slices = -(-U // size)
        assert size % 64 == 32
        assert size <= 1024 + 64
        assert slices == 1 or size >= 512
        assert slices == 1 if U <= 1024 else slices <= threads * (U // (threads * 1024) + 1)
