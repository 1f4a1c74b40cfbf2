"""What three ranks exchange; run by torchrun from test_ranks.py, each rank checks for itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from planted import sparse_rows

from xmlcli import files, rowfiles
from xmlcli.launch import joined
from xmlcli.ranks import Ranks


def check_exchanges(ranks: Ranks) -> None:
    share = ranks.share(10)
    table = np.arange(30, dtype=np.float32).reshape(10, 3)
    assert ranks.bounds(10).tolist() == [0, 3, 6, 10]
    assert ranks.owners(np.array([0, 2, 3, 9, 10]), 10).tolist() == [0, 0, 1, 2, 3]
    assert ranks.whole(table[share]).tolist() == table.tolist()
    parts = ranks.gather(np.full(ranks.rank, ranks.rank), np.ones((1, 2), np.float32))
    assert [part[0].tolist() for part in parts] == [[], [1], [2, 2]]
    assert all(part[1].shape == (1, 2) for part in parts)
    matrix = sparse_rows(10, 7, 3, np.random.default_rng(0))
    assert (ranks.whole_csr(matrix[share]) != matrix).nnz == 0
    rows = np.array([9, 0, 5, 5])
    assert ranks.fetch(table[share], rows, 10).tolist() == table[rows].tolist()
    assert ranks.fetch(torch.from_numpy(table[share]), rows, 10).tolist() == table[rows].tolist()
    got = ranks.exchange([[np.full(r + 1, 10 * ranks.rank + r)] for r in range(3)])
    assert [part[0].tolist() for part in got] == [[10 * r + ranks.rank] * (ranks.rank + 1) for r in range(3)]
    assert ranks.sum(np.array([ranks.rank, 1.0])).tolist() == [3, 3]
    assert ranks.largest(np.array([ranks.rank, -ranks.rank])).tolist() == [2, 0]
    assert ranks.decide(lambda: {"from": ranks.rank}) == {"from": 0}
    assert ranks.sent > 0
    few = np.arange(2)  # fewer rows than ranks
    assert ranks.fetch(few[ranks.share(2)], np.array([1, 0]), 2).tolist() == [1, 0]
    assert ranks.whole(few[ranks.share(2)]).tolist() == [0, 1]


def check_files(ranks: Ranks, folder: Path) -> None:
    matrix, array = sparse_rows(10, 30, 4, np.random.default_rng(1)), np.random.default_rng(2).random((10, 3))
    tensors = {"weight": torch.arange(40.0).reshape(10, 4), "steps": torch.tensor([5])}
    share = ranks.share(10)
    rowfiles.save_csr_rows(folder / "r.npz", matrix[share], ranks)
    rowfiles.save_rows(folder / "r.npy", array[share], ranks)
    rowfiles.save_tensor_rows(
        folder / "r.safetensors", {**tensors, "weight": tensors["weight"][share]}, {"weight"}, ranks
    )
    if ranks.is_first:
        files.save_csr(folder / "w.npz", matrix)
        np.save(folder / "w.npy", array)
        files.save_tensors(folder / "w.safetensors", tensors)
        for suffix in ("npz", "npy", "safetensors"):
            assert (folder / f"r.{suffix}").read_bytes() == (folder / f"w.{suffix}").read_bytes()


if __name__ == "__main__":
    with joined("cpu", tell=print) as everyone:
        check_exchanges(everyone)
        check_files(everyone, Path(sys.argv[1]))
