"""Each layout: seen by its files, read whole, and what a malformed file says."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmlcli.datasets.find import locate
from xmlcli.datasets.formats.layouts import (
    ANNIF,
    ATTENTION_XML,
    LF_RAW,
    LIBSVM,
    PECOS,
    SPLIT_TEXT,
    XMC_SPLITS,
    XMC_TEXT,
)
from xmlcli.datasets.formats.raw import RawDataset
from xmlcli.datasets.load import read_dataset
from xmlcli.errors import DatasetError

X_TRAIN = [[0, 1.5, 0], [0, 0, 0], [2, 0, -0.25]]
Y_TRAIN = [[1, 0], [0, 0], [1, 1]]
X_TEST, Y_TEST = [[0, 0, 3]], [[0, 1]]


def write(folder: Path, **files: str) -> Path:
    """Files named with two underscores for each dot."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content.encode())
    return folder


def read(folder: Path, layout: str) -> RawDataset:
    found = locate(f"{folder}/", [])
    assert found.layout == layout
    return read_dataset(found)


def assert_matrices(dataset: RawDataset) -> None:
    assert dataset.test is not None
    for split, X, Y in ((dataset.train, X_TRAIN, Y_TRAIN), (dataset.test, X_TEST, Y_TEST)):
        assert split.texts is None
        assert split.X is not None
        for matrix, expected in ((split.X, X), (split.Y, Y)):
            assert matrix.dtype == np.float32
            assert matrix.has_canonical_format
            np.testing.assert_array_equal(matrix.toarray(), np.array(expected, np.float32))


def problems(folder: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_dataset(locate(f"{folder}/", []))
    return str(caught.value)


SPLIT = {
    "trn_X_Xf__txt": "3 3\n1:1.5\n\n0:2 2:-0.25\n",
    "trn_X_Y__txt": "3 2\n0:2.5\n\n1:1 0:-1\n",
    "tst_X_Xf__txt": "1 3\n2:3\n",
    "tst_X_Y__txt": "1 2\n1:1\n",
    "Y__txt": "red\nblue\n",
    "Xf__txt": "a\nb\nc\n",
    "filter_labels_test__txt": "0 0\n",
}


def test_split_layout_is_read_with_names_and_filter(tmp_path: Path) -> None:
    dataset = read(write(tmp_path / "d", **SPLIT), SPLIT_TEXT)
    assert_matrices(dataset)
    assert dataset.label_names == ["red", "blue"]
    assert dataset.feature_names == ["a", "b", "c"]
    assert dataset.test_filter is not None
    assert dataset.test_filter.tolist() == [[0, 0]]


def test_split_layout_leaves_out_labels_of_value_zero_and_takes_the_first_documents(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", **SPLIT | {"trn_X_Y__txt": "3 2\n0:1 1:0\n\n\n"})
    dataset = read_dataset(locate(f"{folder}/", []), max_documents=1)
    assert dataset.train.Y.toarray().tolist() == [[1, 0]]


def test_split_layout_with_texts_in_place_of_features(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", trn_X__txt="one\n\nthree ü\n", trn_X_Y__txt=SPLIT["trn_X_Y__txt"])
    dataset = read(folder, SPLIT_TEXT)
    assert dataset.train.texts == ["one", "", "three ü"]
    assert dataset.test is None


@pytest.mark.parametrize(
    ("file", "content", "parts"),
    [
        ("trn_X_Xf__txt", "3 3 2\n", ("trn_X_Xf.txt: malformed header", "two counts: documents, features")),
        ("trn_X_Xf__txt", "3 3\n1:1\n9:1 x\n0:nan\n", ("3 problems", "line 3", "feature id below 3", "line 4")),
        ("trn_X_Y__txt", "3 2\n0:1\n7:1\n\n", ("1 problem", "line 3: expected label:value with a label id below 2")),
        ("trn_X_Y__txt", "2 2\n0:1\n\n", ("trn_X_Xf.txt: not as many documents as trn_X_Y.txt", "found: 3")),
        ("tst_X_Y__txt", "1 5\n1:1\n", ("tst_X_Y.txt", "2 labels, as in training", "found: 5")),
        ("Y__txt", "red\n", ("Y.txt: wrong number of lines", "2, one a name")),
    ],
)
def test_malformed_split_files(tmp_path: Path, file: str, content: str, parts: tuple[str, ...]) -> None:
    message = problems(write(tmp_path / "d", **SPLIT | {file: content}))
    for part in parts:
        assert part in message


def test_half_of_a_test_split_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", **SPLIT)
    labels = (folder / "tst_X_Y.txt").rename(tmp_path / "labels")
    assert "tst_X_Xf.txt: the file that goes with it is missing" in problems(folder)
    (folder / "tst_X_Xf.txt").unlink()
    labels.rename(folder / "tst_X_Y.txt")
    assert "tst_X_Y.txt: the file that goes with it is missing" in problems(folder)


def pecos(folder: Path, *, texts: bool = False) -> Path:
    folder.mkdir()
    for split, X, Y in (("trn", X_TRAIN, Y_TRAIN), ("tst", X_TEST, Y_TEST)):
        sp.save_npz(folder / f"Y.{split}.npz", sp.csc_matrix(np.array(Y, np.float64) * 7))
        if texts:
            (folder / f"X.{split}.txt").write_text("".join(f"text {row}\n" for row in range(len(X))))
        else:
            sp.save_npz(folder / f"X.{split}.npz", sp.csr_matrix(np.array(X, np.float64)))
    (folder / "output-items.txt").write_text("red\nblue\n")
    return folder


def test_pecos_matrices_are_read_whatever_their_type_and_order(tmp_path: Path) -> None:
    dataset = read(pecos(tmp_path / "d"), PECOS)
    assert_matrices(dataset)
    assert dataset.label_names == ["red", "blue"]


def test_pecos_matrices_may_be_spelled_with_underscores(tmp_path: Path) -> None:
    folder = pecos(tmp_path / "d")
    for path in folder.glob("*.npz"):
        path.rename(folder / path.name.replace(".", "_", 1))
    assert_matrices(read(folder, PECOS))
    (folder / "Y_tst.npz").unlink()
    assert "X_tst.npz: the file that goes with it is missing" in problems(folder)


def test_pecos_texts_serve_where_there_are_no_features(tmp_path: Path) -> None:
    folder = pecos(tmp_path / "d", texts=True)
    dataset = read(folder, PECOS)
    assert dataset.train.texts == ["text 0", "text 1", "text 2"]
    np.testing.assert_array_equal(dataset.train.Y.toarray(), Y_TRAIN)
    (folder / "X.trn.txt").write_bytes(b"fine\n\xff\nfine\n")
    assert "line 2: expected UTF-8 text, found byte 0xff" in problems(folder)


def test_damaged_pecos_files_are_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    folder = pecos(tmp_path / "d")
    np.savez(folder / "X.trn.npz", data=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "X.trn.npz: no sparse matrix" in problems(folder)
    (folder / "X.trn.npz").write_bytes(b"PK nonsense")
    assert "X.trn.npz: no sparse matrix" in problems(folder)
    broken = sp.csr_matrix(np.array(X_TRAIN, np.float32))
    broken.indices[0] = 99
    sp.save_npz(folder / "X.trn.npz", broken)
    assert "X.trn.npz: no sparse matrix" in problems(folder)
    sp.save_npz(folder / "X.trn.npz", sp.csr_matrix(np.array([[1.0], [np.nan], [0.0]])))
    assert "not finite\nwhere: row 2" in problems(folder)
    sp.save_npz(folder / "X.trn.npz", sp.csr_matrix((2, 3)))
    assert "X.trn.npz: not as many documents as Y.trn.npz" in problems(folder)


def test_attention_xml_names_become_ids_training_ones_first(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "d",
        train_texts__txt="first text\nsecond\n",
        train_labels__txt="zoo art\nart\n",
        test_texts__txt="third\n",
        test_labels__txt="bee zoo\n",
    )
    dataset = read(folder, ATTENTION_XML)
    assert dataset.label_names == ["art", "zoo", "bee"]
    assert dataset.train.texts == ["first text", "second"]
    assert dataset.train.Y.toarray().tolist() == [[1, 1, 0], [1, 0, 0]]
    assert dataset.test is not None
    assert dataset.test.Y.toarray().tolist() == [[0, 1, 1]]
    write(folder, train_labels__txt="zoo\n")
    assert "train_texts.txt: not as many documents as train_labels.txt" in problems(folder)


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz"])
def test_libsvm_is_read_plain_or_compressed(tmp_path: Path, suffix: str) -> None:
    pack = {"": bytes, ".bz2": bz2.compress, ".gz": gzip.compress}[suffix]
    (tmp_path / f"eurlex_train.svm{suffix}").write_bytes(pack(b"10,9 1:0.5 3:2\n 2:1\n9 \n\n"))
    (tmp_path / f"eurlex_test.svm{suffix}").write_bytes(pack(b"2,10 5:1\n"))
    dataset = read(tmp_path, LIBSVM)
    assert dataset.label_names == ["9", "10", "2"]
    assert dataset.train.X is not None
    assert dataset.train.X.toarray().tolist() == [[0, 0.5, 0, 2, 0, 0], [0, 0, 1, 0, 0, 0], [0] * 6]
    assert dataset.train.Y.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert dataset.test is not None
    assert dataset.test.Y.toarray().tolist() == [[0, 1, 1]]


def test_a_train_txt_without_header_is_libsvm_and_one_with_is_not(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a", train__txt="1,0 3:1\n0 2:1\n"), LIBSVM).train.Y.shape == (2, 2)
    assert read(write(tmp_path / "b", train__txt="1 9 4\n1,0 3:1\n"), XMC_TEXT).train.Y.shape == (1, 4)


def test_malformed_libsvm_names_its_lines(tmp_path: Path) -> None:
    message = problems(write(tmp_path / "d", train__svm="1 2:1\nred 2:1\n1 x:1\n"))
    assert "train.svm: 2 problems" in message
    assert "line 2: expected a label id" in message
    assert "line 3: expected feature:value" in message


def test_damaged_compression_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.svm.bz2").write_bytes(bz2.compress(b"1 2:1\n" * 9)[:-9])
    assert "damaged bzip2 file" in problems(tmp_path)


VOCABULARY = "<http://x/1>\tred\n<http://x/2>\tblue\tB\n"


def test_annif_corpus_is_read_by_its_vocabulary(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "d",
        train__tsv="a text\t<http://x/2> <http://x/1>\nno subjects\t\nof two\tcells\t<http://x/1>\n",
        test__tsv="another\thttp://x/1\n",
        vocab__tsv=VOCABULARY,
    )
    dataset = read(folder, ANNIF)
    assert dataset.label_names == ["red", "blue"]
    assert dataset.train.texts == ["a text", "no subjects", "of two\tcells"]
    assert dataset.train.Y.toarray().tolist() == [[1, 1], [0, 0], [1, 0]]
    assert dataset.test is not None
    assert dataset.test.Y.toarray().tolist() == [[1, 0]]


def test_malformed_annif_files_name_their_lines(tmp_path: Path) -> None:
    lines = "fine\t<http://x/1>\nno tab\n" + "unknown\t<http://x/9>\n" * 11
    folder = write(tmp_path / "d", train__tsv=lines, vocab__tsv=VOCABULARY)
    message = problems(folder)
    for part in ("train.tsv: 12 problems", "line 2: expected a text, a tab and URIs", "http://x/9", "(2 more)"):
        assert part in message
    write(folder, vocab__tsv=VOCABULARY + "<http://x/1>\tagain\nalone\n")
    assert "vocab.tsv: 2 problems\nline 3: expected each URI once" in problems(folder)


def test_small_repository_collections_are_split_by_their_first_column(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "d",
        Bibtex_data__txt="3 4 2\n0 0:1\n1 1:1\n0,1 2:1\n",
        bibtex_trSplit__txt="3 1\n1 2\n",
        bibtex_tstSplit__txt="2 3\n",
    )
    dataset = read(folder, XMC_SPLITS)
    assert dataset.train.Y.toarray().tolist() == [[1, 1], [1, 0]]
    assert dataset.test is not None
    assert dataset.test.Y.toarray().tolist() == [[0, 1]]
    write(folder, bibtex_trSplit__txt="1\n4\n0\n")
    assert "2 problems\nline 2: expected a document's number, 1 to 3" in problems(folder)


def test_raw_text_with_published_label_names_in_latin_1(tmp_path: Path) -> None:
    (tmp_path / "trn.json").write_text('{"title": "t", "content": "", "target_ind": [1]}\n')
    (tmp_path / "Yf.txt").write_bytes(b"caf\xe9\nred\n")
    assert read(tmp_path, LF_RAW).label_names == ["café", "red"]


def test_no_layout_lists_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("")
    with pytest.raises(DatasetError) as caught:
        locate(f"{tmp_path}/", [])
    for name in ("trn.json.gz", "Y.trn.npz", "trn_X_Y.txt", "train_labels.txt", "vocab.tsv", ".svm", ".csv"):
        assert name in str(caught.value)
    assert "found: readme.md" in str(caught.value)
