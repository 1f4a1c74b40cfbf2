"""Reading a dataset whatever its layout: what is taken of it, and what is beyond its size."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmlcli.datasets import load
from xmlcli.datasets.find import open_folder
from xmlcli.datasets.load import read_dataset
from xmlcli.errors import DatasetError


def write(folder: Path, num_features: int, num_labels: int) -> Path:
    rows = "0 0:1\n0 1:1\n0 0:1\n"
    for split in ("train", "test"):
        (folder / f"{split}.txt").write_text(f"3 {num_features} {num_labels}\n{rows}")
    return folder


def test_only_training_documents_are_limited(tmp_path: Path) -> None:
    found = read_dataset(open_folder(write(tmp_path, 2, 1)), max_documents=1)
    assert found.train.Y.shape[0] == 1
    assert found.test is not None
    assert found.test.Y.shape[0] == 3


@pytest.mark.parametrize("what", ["features", "labels"])
def test_columns_are_bounded_by_the_size_of_the_files(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_FREE_COLUMNS", 1000)
    size = sum(path.stat().st_size for path in write(tmp_path, 1000, 1000).iterdir())
    most = 1000 + size  # of as many digits, so that the size stays
    read_dataset(open_folder(write(tmp_path, *((most, 1000) if what == "features" else (1000, most)))))
    more = (most + 1, 1000) if what == "features" else (1000, most + 1)
    with pytest.raises(DatasetError, match=f"too many {what} for the size"):
        read_dataset(open_folder(write(tmp_path, *more)))
