"""The type that the machine multiplies fastest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from xmlcli.machine import torch_threads


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    torch_threads.matrix_dtype.cache_clear()
    yield
    torch_threads.matrix_dtype.cache_clear()


def test_the_cpus_type_is_one_torch_multiplies() -> None:
    dtype = torch_threads.matrix_dtype("cpu")
    assert dtype in (torch.float32, torch.bfloat16)
    assert (torch.ones(2, 2, dtype=dtype) @ torch.ones(2, 2, dtype=dtype)).tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize(
    ("machine", "bfloat16", "wanted"),
    [
        ("x86_64", True, torch.bfloat16),
        ("x86_64", False, torch.float32),  # AVX-512 alone: oneDNN multiplies bfloat16 in software, five times as slowly
        ("AMD64", False, torch.float32),
        ("aarch64", False, torch.bfloat16),
    ],
)
def test_bfloat16_in_software_is_not_used(
    machine: str, bfloat16: bool, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bfloat16)
    assert torch_threads.matrix_dtype("cpu") == wanted
