"""Documents to predict labels for: each format read a block at a time, and what a malformed one says."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from support import small_model
from support.planted_data import write_rows
from support.small_model import texts_and_labels

from xmlcli.datasets.columns import Wanted
from xmlcli.datasets.documents import BLOCK, read_documents
from xmlcli.errors import DatasetError


def read(path: Path, *, as_text: bool = True, text: str = "text") -> list[str]:
    blocks = read_documents(str(path), as_text=as_text, wanted=Wanted((text,)))
    return [text for block in blocks for text in block.documents]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "one\ntwo, 2\n\n"),
        ("a.txt", "\ufeffone\r\ntwo, 2\r\n\r\n"),
        ("a.jsonl", '{"text": "one"}\n{"text": "two, 2", "labels": ["x"]}\n""\n'),
        ("lines-of.unknown", '{"text": "one"}\n{"text": "two, 2"}\n{"text": null}\n'),
        ("tst.json", '{"title": "one", "content": ""}\n{"title": "two,", "content": "2"}\n{"title": ""}\n'),
        ("a.csv", 'id,text\n1,one\n2,"two, 2"\n3,\n'),
        ("a.tsv", "text\tother\none\t1\ntwo, 2\t\n\t3\n"),
    ],
)
def test_texts_come_from_any_format(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read(tmp_path / name) == ["one", "two, 2", ""]
    with gzip.open(tmp_path / f"{name}.gz", "wt") as file:
        file.write(content)
    assert read(tmp_path / f"{name}.gz") == ["one", "two, 2", ""]


def test_a_folder_gives_its_test_documents() -> None:
    assert read(small_model.run() / "data" / "subjects") == texts_and_labels(80, len("test"))[0]


def test_a_folder_of_tables_needs_no_labels(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("id,summary\n1,one\n2,two\n")
    (tmp_path / "train.csv").write_text("id,summary\n")
    assert read(tmp_path, text="summary") == ["one", "two"]
    (tmp_path / "test.csv").unlink()
    assert read(tmp_path, text="summary") == []


def test_libsvm_is_as_wide_as_the_model(tmp_path: Path) -> None:
    (tmp_path / "new.svm").write_text("1,2 0:0.5 2:1\n")
    for asked, width in ((0, 3), (3, 3), (7, 7)):
        (block,) = read_documents(str(tmp_path / "new.svm"), as_text=False, num_features=asked)
        assert block.documents.shape == (1, width)


def test_features_come_from_matrices_and_rows(tmp_path: Path) -> None:
    X = sp.csr_matrix(np.array([[0.5, 0, 1], [0, 0, 0], [0, 0.25, 0]], np.float32))
    sp.save_npz(tmp_path / "x.npz", X)
    write_rows(tmp_path / "x.txt", X, sp.csr_matrix(np.eye(3, dtype=np.float32)))
    for name in ("x.npz", "x.txt"):
        (block,) = read_documents(str(tmp_path / name), as_text=False)
        assert (block.documents != X).nnz == 0


def test_no_more_than_a_block_is_held(tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("a line\n" * (2 * BLOCK + 5) + "the last")
    sizes = [len(block.documents) for block in read_documents(str(tmp_path / "many.txt"), as_text=True)]
    assert sum(sizes) == 2 * BLOCK + 6
    assert max(sizes) == BLOCK


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"text": 3}\n', "line 1: expected text under 'text'"),
        ("a.jsonl", "[1]\n", "a JSON object or text"),
        ("a.csv", "name\nx\n", "no column 'text'"),
        ("a.npz", "nothing", "no sparse matrix"),
    ],
)
def test_malformed_documents_are_told(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=said):
        list(read_documents(str(tmp_path / name), as_text=True))
