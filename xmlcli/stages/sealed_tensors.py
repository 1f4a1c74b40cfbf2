"""Tensors in a file that tells whether it is whole, and whose it is: what checkpoints are saved as.

The seal is a sha256 over what the file belongs to and over the names, dtypes, shapes and bytes of all tensors. It lies
in the file's own header, so that tensors and seal are replaced at once.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from xmlcli.storage import files

if TYPE_CHECKING:
    import torch

_SEAL = "sha256"


def save(path: Path, tensors: Mapping[str, torch.Tensor], owner: bytes) -> None:
    """Write named tensors, sealed for an owner."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    files.save_tensors(path, tensors, {_SEAL: _digest(tensors, owner)})


def load(path: Path, like: Mapping[str, torch.Tensor], owner: bytes) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, which have the names, dtypes and shapes of those in `like`.

    Raises ValueError where the file is damaged, holds other tensors, or was sealed for another owner, and OSError where
    it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no file")
    path.open("rb").close()  # safetensors tells of a missing right in other words
    try:
        with safe_open(path, framework="pt") as file:
            seal = (file.metadata() or {}).get(_SEAL)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if _form(tensors) != _form(like):
        raise ValueError("it holds other tensors")
    if seal != _digest(tensors, owner):
        raise ValueError("its bytes are not those that were saved")
    return tensors


def _form(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    return {name: f"{tensor.dtype} {list(tensor.shape)}" for name, tensor in tensors.items()}


def _digest(tensors: Mapping[str, torch.Tensor], owner: bytes) -> str:
    import torch

    digest = hashlib.sha256(hashlib.sha256(owner).digest())
    digest.update(repr(sorted(_form(tensors).items())).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
