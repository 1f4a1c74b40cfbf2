"""The type that the machine multiplies fastest."""

from __future__ import annotations

import torch

from xmlcli import runtime


def test_the_cpus_type_is_one_torch_multiplies() -> None:
    dtype = runtime.matrix_dtype("cpu")
    assert dtype in (torch.float32, torch.bfloat16)
    assert (torch.ones(2, 2, dtype=dtype) @ torch.ones(2, 2, dtype=dtype)).tolist() == [[2, 2], [2, 2]]
