"""What three ranks exchange; run by torchrun from test_ranks.py, each rank checks for itself."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from fakes import make_config
from planted import collection, sparse_rows, unit_rows
from sklearn.utils.extmath import randomized_svd

from xmlcli import files, rowfiles
from xmlcli.launch import joined
from xmlcli.merged_scores import MergedScores
from xmlcli.neighbours import LabelVectors, make_index
from xmlcli.ranks import Ranks
from xmlcli.scoring import Scores
from xmlcli.spectral import right_singular_vectors


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
    other = np.array([[0, 9], [2, 3, 4], []][ranks.rank], np.int64)  # other rows on each rank
    assert ranks.collect(table[share], other, 10).tolist() == table[other].tolist()
    assert ranks.most(ranks.rank) == 2
    got = ranks.exchange([[np.full(r + 1, 10 * ranks.rank + r)] for r in range(3)])
    assert [part[0].tolist() for part in got] == [[10 * r + ranks.rank] * (ranks.rank + 1) for r in range(3)]
    assert ranks.sum(np.array([ranks.rank, 1.0])).tolist() == [3, 3]
    assert ranks.largest(np.array([ranks.rank, -ranks.rank])).tolist() == [2, 0]
    assert ranks.decide(lambda: {"from": ranks.rank}) == {"from": 0}
    assert ranks.sent > 0
    few = np.arange(2)  # fewer rows than ranks
    assert ranks.fetch(few[ranks.share(2)], np.array([1, 0]), 2).tolist() == [1, 0]
    assert ranks.whole(few[ranks.share(2)]).tolist() == [0, 1]


def check_search(ranks: Ranks) -> None:
    """Shortlists and scores of three ranks are those of one."""
    rng = np.random.default_rng(3)
    L, F, N, k = 50, 40, 20, 8
    words, X, linear = sparse_rows(L, F, 5, rng), sparse_rows(N, F, 6, rng), sparse_rows(L, F + 1, 5, rng)
    Z, documents, W = unit_rows(L, 6, 1), unit_rows(N, 6, 2), unit_rows(L, 6, 3)
    frequencies = rng.integers(0, 4, L).astype(np.float32)
    bonus, bias = (0.1 * np.log1p(frequencies)).astype(np.float32), rng.random(L).astype(np.float32)
    mine, rows = ranks.share(L), ranks.share(N)
    for changes in ({}, {"mask_unseen": False}, {"vectors": 0.0}, {"backend": "exact"}):
        config = replace(make_config().shortlist, **changes)
        whole = make_index(LabelVectors(Z, bonus, words), frequencies, config)
        index = make_index(LabelVectors(Z[mine], bonus[mine], words[mine]), frequencies[mine], config, ranks=ranks)
        for length in (k, L):
            wanted, found = (i.search(documents[r], length, X=X[r]) for i, r in ((whole, rows), (index, rows)))
            assert found[0].tolist() == wanted[0].tolist()
            assert np.allclose(found[1], wanted[1], atol=1e-5)
    candidates = whole.search(documents, k, X=X)[0]
    candidates[3, 4:] = L
    one = Scores(W, bias, Z, frequencies, words, linear, None)(X, documents, candidates)
    own = Scores(W[mine], bias[mine], Z[mine], frequencies[mine], words[mine], linear[mine], None)
    several = MergedScores(own, frequencies, ranks)(X[rows], documents[rows], candidates[rows])
    there = candidates[rows] < L
    assert one.keys() == several.keys()
    assert all(np.allclose(several[name][there], one[name][rows][there], atol=1e-5) for name in one)
    nothing = MergedScores(own, frequencies, ranks)(X[:0], documents[:0], candidates[:0])
    assert {name: scores.shape for name, scores in nothing.items()} == dict.fromkeys(one, (0, k))


def check_spectrum(ranks: Ranks) -> None:
    """The singular vectors of three ranks' rows are those of scikit-learn, signs included."""
    for L, F in ((60, 25), (25, 60), (30, 30), (12, 40), (40, 15)):
        matrix = collection(L, F // 5, 1, words=4, noise=F - 4 * (F // 5))[0]
        rank = min(5, L, F)
        _, _, V = randomized_svd(matrix, rank, n_iter=2, random_state=3)
        found = right_singular_vectors(matrix[ranks.share(L)], rank, 3, ranks)
        assert np.allclose(found, V.T, atol=2e-3), (L, F)


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
    with joined("cpu", tell=lambda line: print(line, file=sys.__stderr__)) as everyone:
        check_exchanges(everyone)
        check_search(everyone)
        check_spectrum(everyone)
        check_files(everyone, Path(sys.argv[1]))
