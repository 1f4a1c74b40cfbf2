"""Stage prepare, on small datasets of both layouts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_stages import make_config

from xmlcli.errors import DatasetError
from xmlcli.label_embeddings.word_centroids import word_centroids
from xmlcli.metrics import inverse_propensity
from xmlcli.runs import runner
from xmlcli.runs.identity import why_not_current
from xmlcli.runs.plan import plan
from xmlcli.runs.runner import Session
from xmlcli.stages.call import RunId
from xmlcli.storage import artifacts
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.workspace import Workspace

TRAIN = ["3 4 3", "0,1 0:1 1:2", "0 1:3 2:4", " 3:1"]
TEST = ["1 4 3", "2 3:5 1:1"]


def write_text(folder: Path) -> None:
    folder.mkdir()
    (folder / "train.txt").write_text("\n".join(TRAIN) + "\n")
    (folder / "test.txt").write_text("\n".join(TEST) + "\n")


def write_raw(folder: Path, *, documents: int = 30) -> None:
    folder.mkdir()

    def document(i: int) -> dict[str, object]:
        return {"uid": str(i), "title": f"word{i % 3} common", "content": f"more{i % 5}", "target_ind": [i % 3, 3]}

    for name, rows in (
        ("trn", [document(i) for i in range(documents)]),
        ("tst", [{**document(1), "title": "word1 unseen"}]),
        ("lbl", [{"uid": str(i), "title": title} for i, title in enumerate(("word0", "word1", "other", "common"))]),
    ):
        with gzip.open(folder / f"{name}.json.gz", "wt") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)
    (folder / "filter_labels_test.txt").write_text("0 2\n")


def session(root: Path, **overrides: object) -> Session:
    return Session(Workspace(root, "mine"), make_config(**overrides), device="cpu")


def prepare(root: Path, dataset: Path, **overrides: object) -> Artifact:
    opened = session(root, **overrides)
    calls = plan(opened.config, RunId(str(dataset)))
    runner.run(opened, calls[:1], calls)
    return artifacts.read(opened.workspace.artifact(calls[0].output), "prepared", made_by="")


def test_given_features_and_labels_arrive_in_their_rows(tmp_path: Path) -> None:
    write_text(tmp_path / "mine")
    found = prepare(tmp_path / "r", tmp_path / "mine", prepare__validation_fraction=0.0, prepare__use_idf=False)
    X = found.csr("X_train.npz").toarray()
    assert np.allclose(X[:2], [[1 / 5**0.5, 2 / 5**0.5, 0, 0], [0, 0.6, 0.8, 0]])
    assert found.csr("Y_train.npz").toarray().tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert found.csr("Y_test.npz").toarray().tolist() == [[0, 0, 1]]
    assert found.dims["N_validation"] == 0
    assert not found.has("label_words_without_validation.npz")
    assert not found.has("features.json")
    assert found.json("prepared.json")["char_ngrams"] == 0


def test_text_becomes_features_of_documents_and_labels(tmp_path: Path) -> None:
    write_raw(tmp_path / "mine")
    found = prepare(tmp_path / "r", tmp_path / "mine", prepare__validation_fraction=0.2)
    assert (found.dims["N"], found.dims["N_validation"], found.dims["L"]) == (30, 6, 4)
    terms = found.json("features.json")["terms"]
    assert "common" in terms
    assert "unseen" not in terms
    label_text = found.csr("label_text_X.npz")
    ngrams = found.json("features.json")["char_ngrams"]
    own = [len(terms) + ngrams.index(ngram) for ngram in (" wor", "ord0", "rd0 ", "word")]
    assert label_text[0].indices.tolist() == [terms.index("word0"), *own]
    assert label_text[2].nnz == 0
    assert found.json("prepared.json")["char_ngrams"] == len(ngrams)
    assert found.json("labels.json") == ["word0", "word1", "other", "common"]
    assert found.array("test_filter.npy").tolist() == [[0, 2]]


def test_propensities_come_from_all_training_rows(tmp_path: Path) -> None:
    write_raw(tmp_path / "mine")
    whole = prepare(tmp_path / "a", tmp_path / "mine", prepare__validation_fraction=0.0)
    split = prepare(tmp_path / "b", tmp_path / "mine", prepare__validation_fraction=0.2)
    expected = inverse_propensity(whole.csr("Y_train.npz"), 0.55, 1.5)
    assert np.array_equal(split.array("inverse_propensity.npy"), expected)


@pytest.mark.parametrize(("fraction", "most", "expected"), [(0.2, 100, 6), (0.2, 4, 4), (0.0, 100, 0)])
def test_the_validation_split_has_its_size_and_its_rows(
    tmp_path: Path, fraction: float, most: int, expected: int
) -> None:
    write_raw(tmp_path / "mine")
    settings = {"prepare__validation_fraction": fraction, "prepare__validation_documents": most}
    found = prepare(tmp_path / "r", tmp_path / "mine", **settings)
    rows = found.array("validation_rows.npy")
    assert len(rows) == expected
    everything = prepare(tmp_path / "all", tmp_path / "mine", prepare__validation_fraction=0.0)
    Y = everything.csr("Y_train.npz").toarray()
    assert np.array_equal(found.csr("Y_train.npz").toarray(), np.vstack([np.delete(Y, rows, axis=0), Y[rows]]))


def test_centroids_are_there_with_and_without_validation_documents(tmp_path: Path) -> None:
    write_raw(tmp_path / "mine")
    found = prepare(tmp_path / "r", tmp_path / "mine", prepare__validation_fraction=0.2)
    X, Y, text = (found.csr(name) for name in ("X_train.npz", "Y_train.npz", "label_text_X.npz"))
    for name, count in (("label_words.npz", 30), ("label_words_without_validation.npz", 24)):
        expected = word_centroids(X[:count], Y[:count], text).toarray()
        assert np.allclose(found.csr(name).toarray(), expected, atol=1e-6)
    assert not np.allclose(found.csr("label_words.npz").toarray(), expected)


def write_table(folder: Path, *, documents: int = 60) -> None:
    folder.mkdir()
    rows = [f"text{i % 7} word{i},label{i % 5};only{i},group{i // 4}" for i in range(documents)]
    (folder / "train.csv").write_text("\n".join(["text,labels,author", *rows]) + "\n")


def test_a_table_without_test_documents_gets_some(tmp_path: Path) -> None:
    write_table(tmp_path / "mine")
    found = prepare(tmp_path / "r", tmp_path / "mine")
    assert (found.rows("X_test.npz"), found.dims["N"]) == (6, 54)
    assert found.csr("Y_test.npz").getnnz(axis=1).tolist() == [2] * 6
    assert not set(found.json("features.json")["terms"]) & {f"word{i}" for i in range(60)}  # each is in one document
    again, other = (prepare(tmp_path / str(seed), tmp_path / "mine", seed=seed) for seed in (1, 2))
    assert (again.csr("Y_test.npz") != found.csr("Y_test.npz")).nnz == 0
    assert (other.csr("Y_test.npz") != found.csr("Y_test.npz")).nnz > 0


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.5, 30)])
def test_the_share_of_test_documents_is_a_setting(tmp_path: Path, fraction: float, expected: int) -> None:
    write_table(tmp_path / "mine")
    found = prepare(tmp_path / "r", tmp_path / "mine", prepare__test_fraction=fraction)
    assert found.rows("X_test.npz") == expected


def test_groups_of_a_table_stay_together(tmp_path: Path) -> None:
    write_table(tmp_path / "mine")
    settings = {"prepare__group_column": "author", "prepare__test_fraction": 0.2, "prepare__validation_fraction": 0.2}
    found = prepare(tmp_path / "r", tmp_path / "mine", **settings)
    names = found.json("labels.json")
    first = found.dims["N"] - found.dims["N_validation"]
    parts = (found.csr("Y_train.npz")[:first], found.csr("Y_train.npz")[first:], found.csr("Y_test.npz"))
    groups = [{int(names[label][4:]) // 4 for label in Y.indices if names[label].startswith("only")} for Y in parts]
    assert [len(group) for group in groups] == [10, 2, 3]
    assert len(set().union(*groups)) == 15


def test_a_test_file_of_a_table_is_kept_as_it_is(tmp_path: Path) -> None:
    write_table(tmp_path / "mine")
    (tmp_path / "mine" / "test.csv").write_text("text,labels\nword1 text2,label1\n")
    found = prepare(tmp_path / "r", tmp_path / "mine", prepare__group_column="author")
    assert (found.rows("X_test.npz"), found.dims["N"]) == (1, 60)


def test_a_group_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "mine")
    with pytest.raises(DatasetError, match="no column 'writer'"):
        prepare(tmp_path / "r", tmp_path / "mine", prepare__group_column="writer")


def test_fewer_documents_can_be_asked_for(tmp_path: Path) -> None:
    write_raw(tmp_path / "mine")
    found = prepare(tmp_path / "r", tmp_path / "mine", prepare__max_documents=10, prepare__validation_fraction=0.0)
    assert found.dims["N"] == 10


def test_a_dataset_without_test_documents_has_none(tmp_path: Path) -> None:
    write_text(tmp_path / "mine")
    (tmp_path / "mine" / "test.txt").unlink()
    found = prepare(tmp_path / "r", tmp_path / "mine")
    assert found.csr("X_test.npz").shape == (0, 4)


def test_a_dataset_without_labels_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.txt").write_text("1 4 3\n 0:1\n")
    with pytest.raises(DatasetError, match="no training document has a label"):
        prepare(tmp_path / "r", folder)


@pytest.mark.parametrize("write", [write_text, write_raw])
def test_a_changed_raw_file_is_noticed_and_named(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "mine")
    prepare(tmp_path / "r", tmp_path / "mine")
    opened = session(tmp_path / "r")
    call = plan(opened.config, RunId(str(tmp_path / "mine")))[0]
    assert why_not_current(opened, call) is None
    path = next((tmp_path / "mine").glob("t*st*"))
    path.write_bytes(path.read_bytes() + b"\n")
    assert why_not_current(opened, call) == f"raw file {path.name} changed"
    moved = replace(call, run=RunId(str(tmp_path / "gone")))
    assert why_not_current(opened, moved) is None
