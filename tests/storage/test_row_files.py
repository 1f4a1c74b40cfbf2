"""Files of rows have the bytes of whole ones, and give back the rows that are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from support.planted_data import sparse_rows

from xmlcli.distributed.ranks import ALONE
from xmlcli.storage import files, partial_reads, row_files


def matrices() -> list[sp.csr_matrix]:
    unsorted = sp.csr_matrix((np.ones(3, np.float32), [2, 0, 0], [0, 2, 2, 3]), shape=(3, 4))
    return [sparse_rows(9, 30, 4, np.random.default_rng(0)), unsorted, sp.csr_matrix((3, 5), dtype=np.float32),
            sp.csr_matrix((0, 5), dtype=np.float32)]  # fmt: skip


@pytest.mark.parametrize("matrix", matrices(), ids=["random", "unsorted", "empty", "no rows"])
def test_a_matrix_has_the_same_bytes_and_gives_any_rows(tmp_path: Path, matrix: sp.csr_matrix) -> None:
    files.save_csr(tmp_path / "whole.npz", matrix)
    assert row_files.save_csr_rows(tmp_path / "rows.npz", matrix, ALONE) == matrix.shape
    assert (tmp_path / "rows.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert (partial_reads.map_csr(tmp_path / "rows.npz") != matrix).nnz == 0
    for first in range(matrix.shape[0]):
        rows = slice(first, first + 2 if first < 2 else first + 1)
        found = partial_reads.csr_rows(partial_reads.map_csr(tmp_path / "rows.npz"), rows)
        assert (found.toarray() == matrix.toarray()[first : first + found.shape[0]]).all()
    found = partial_reads.csr_columns(partial_reads.map_csr(tmp_path / "rows.npz"), slice(1, 3))
    assert found.toarray().tolist() == matrix.toarray()[:, 1:3].tolist()


@pytest.mark.parametrize("array", [np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4), np.zeros((0, 3))])
def test_an_array_has_the_same_bytes(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "whole.npy", array)
    assert row_files.save_rows(tmp_path / "rows.npy", array, ALONE) == array.shape
    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_rows_that_come_in_blocks_have_the_same_bytes(tmp_path: Path) -> None:
    array = np.arange(21, dtype=np.float32).reshape(7, 3)
    np.save(tmp_path / "whole.npy", array)
    with row_files.open_rows(tmp_path / "rows.npy", np.float32, (7, 3), ALONE) as append:
        for block in (array[:4], array[4:4], np.asfortranarray(array[4:])):  # one is empty, one in another order
            append(block)
    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize(
    ("block", "words"),
    [(np.zeros((1, 3), np.float32), "expected 2 rows, found 1"), (np.zeros((2, 3)), "found float64")],
)
def test_rows_of_another_number_or_dtype_are_refused(tmp_path: Path, block: np.ndarray, words: str) -> None:
    with (
        pytest.raises(ValueError, match=words),
        row_files.open_rows(tmp_path / "rows.npy", np.float32, (2, 3), ALONE) as append,
    ):
        append(block)


def test_tensors_have_the_same_bytes_and_give_any_rows(tmp_path: Path) -> None:
    tensors = {
        "tokens.steps": torch.tensor([7]), "classifiers.weight": torch.rand(5, 3), "b": torch.rand(5, 1),
        "encoder.ä": torch.rand(2).double().float(), "scalar": torch.tensor(3), "none": torch.zeros(0, 4),
    }  # fmt: skip
    files.save_tensors(tmp_path / "whole.safetensors", tensors)
    row_files.save_tensor_rows(tmp_path / "rows.safetensors", tensors, {"classifiers.weight", "b"}, ALONE)
    assert (tmp_path / "rows.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    found = partial_reads.load_tensor_rows(
        tmp_path / "rows.safetensors", slice(1, 3), {"b", "classifiers.weight"}.__contains__
    )
    assert torch.equal(found["b"], tensors["b"][1:3])
    assert torch.equal(found["scalar"], tensors["scalar"])


def test_tensors_begin_at_a_multiple_of_eight_bytes_whatever_their_names(tmp_path: Path) -> None:
    for letters in range(1, 9):
        tensors = {"x" * letters: torch.ones(2, 3)}
        files.save_tensors(tmp_path / "whole", tensors)
        row_files.save_tensor_rows(tmp_path / "rows", tensors, set(), ALONE)
        assert (tmp_path / "rows").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_compressed_matrix_is_refused(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "small.npz", sparse_rows(3, 5, 2, np.random.default_rng(0)), compressed=True)
    with pytest.raises(ValueError, match="compressed"):
        partial_reads.map_csr(tmp_path / "small.npz")
