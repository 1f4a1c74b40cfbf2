"""Products in the machine's fastest type."""

from __future__ import annotations

import pytest
import torch

from xmlcli import runtime


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 2.0**-6)])
def test_a_product_is_float32_and_within_the_types_error(
    dtype: torch.dtype, error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "matrix_dtype", lambda device: dtype)
    generator = torch.Generator().manual_seed(0)
    A = torch.nn.functional.normalize(torch.randn(30, 40, generator=generator), dim=1)
    B = torch.nn.functional.normalize(torch.randn(20, 40, generator=generator), dim=1)
    found = runtime.product(A, B.T)
    assert found.dtype == torch.float32
    assert (found.double() - A.double() @ B.double().T).abs().max() < error


def test_the_cpus_type_is_one_torch_multiplies() -> None:
    dtype = runtime.matrix_dtype("cpu")
    assert dtype in (torch.float32, torch.bfloat16)
    assert (torch.ones(2, 2, dtype=dtype) @ torch.ones(2, 2, dtype=dtype)).tolist() == [[2, 2], [2, 2]]
