"""Matrices of datasets, documents and predictions: each fault is one DatasetError that names the file."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from support import hostile_matrices
from support.hostile_matrices import COLUMNS, MALFORMED, ROWS
from support.paths import PROJECT

from xmlcli.datasets.documents import read_documents
from xmlcli.datasets.find import locate
from xmlcli.datasets.formats import pecos
from xmlcli.datasets.formats.matrices import read_matrix
from xmlcli.datasets.load import read_dataset
from xmlcli.datasets.predictions import read_predictions
from xmlcli.errors import DatasetError

_STORED_ZEROS = sp.csr_matrix((np.array([0, 1, 2], np.float32), [0, 1, 1], [0, 2, 3]), shape=(2, 2))


def _documents(path: Path) -> object:
    return list(read_documents(str(path), as_text=False))


def _features(path: Path) -> object:
    labels = path.with_name("labels.npz")
    hostile_matrices.write(labels)
    return pecos.read_split(path, labels)


def _labels(path: Path) -> object:
    (path.parent / "texts.txt").write_text("text\n" * ROWS)
    return pecos.read_split(path.parent / "texts.txt", path)


def _predictions(path: Path) -> object:
    return read_predictions(path, ROWS, COLUMNS)


USERS = (_documents, _features, _labels, _predictions)


def _told(use: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(DatasetError) as error:
        use(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


@pytest.mark.parametrize("fault", MALFORMED)
def test_each_reader_tells_of_each_malformed_matrix(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "matrix.npz"
    MALFORMED[fault](path)
    for use in USERS:
        told = _told(use, path)
        assert "\nexpected: " in told
        assert "\nfound: " in told


@pytest.mark.parametrize("use", USERS)
def test_each_reader_reads_the_matrix_whole(use: Callable[[Path], object], tmp_path: Path) -> None:
    for form in ("csr", "csc", "coo"):
        hostile_matrices.write(tmp_path / "matrix.npz", form)
        use(tmp_path / "matrix.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_documents_whose_features_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "x.npz", sp.csr_matrix(np.array([[1, 0], [0, value]])))
    told = _told(_documents, tmp_path / "x.npz")
    found = "inf" if value == 1e39 else value
    assert f"not finite\nwhere: row 2\nexpected: finite numbers of 32 bits\nfound: {found} in column 1" in told


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_matrix_is_read_and_bounded(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x.npz.{'gz' if pack is gzip.compress else 'bz2'}"
    hostile_matrices.write(tmp_path / "x.npz")
    path.write_bytes(pack((tmp_path / "x.npz").read_bytes()))
    assert read_matrix(path).nnz == 3
    MALFORMED["index out of range"](tmp_path / "x.npz")
    path.write_bytes(pack((tmp_path / "x.npz").read_bytes()))
    assert "row 1" in _told(_documents, path)
    monkeypatch.setattr("xmlcli.storage.npz_archive._FREE_BYTES", 1000)
    path.write_bytes(pack(bytes(100_000)))
    assert "when unpacked" in _told(_documents, path)
    path.write_bytes(path.read_bytes()[:-9])
    assert "damaged" in _told(_documents, path)


def test_stored_zeros_are_no_labels_and_no_features(tmp_path: Path) -> None:
    for name in ("X.trn.npz", "Y.trn.npz"):
        sp.save_npz(tmp_path / name, _STORED_ZEROS)
    train = read_dataset(locate(f"{tmp_path}/", [])).train
    assert train.X is not None
    assert train.Y.toarray().tolist() == [[0, 1], [0, 1]]
    assert train.Y.nnz == train.X.nnz == 2


def test_a_label_that_is_stored_twice_and_cancels_out_is_none(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "y.npz", sp.coo_matrix(([1.0, -1.0, 1.0], ([0, 0, 0], [1, 1, 0])), (ROWS, COLUMNS)))
    _labels(tmp_path / "y.npz")
    split = pecos.read_split(tmp_path / "texts.txt", tmp_path / "y.npz")
    assert split.Y.toarray().tolist() == [[1, 0, 0, 0], [0] * 4, [0] * 4]


def test_predictions_keep_stored_zeros(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "p.npz", _STORED_ZEROS)
    assert read_predictions(tmp_path / "p.npz", 2, 2).data.tolist() == [0, 1, 2]


HEADERS = {
    "train.txt": ("1 3 {}\n0 1:1\n", "1 {} 3\n0 1:1\n"),
    "trn_X_Xf.txt": ("1 {}\n1:1\n",),
    "trn_X_Y.txt": ("1 {}\n1:1\n",),
}


@pytest.mark.parametrize("count", [2**31, 10**12, 999_999_999_999_999])
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_more_ids_than_int32_holds_is_refused(name: str, count: int, tmp_path: Path) -> None:
    if name != "train.txt":
        for other in ("trn_X_Xf.txt", "trn_X_Y.txt"):
            (tmp_path / other).write_text("1 3\n1:1\n")
    for text in HEADERS[name]:
        (tmp_path / name).write_text(text.format(count))
        with pytest.raises(DatasetError, match=rf"{name}: malformed header\nwhere: line 1\n(.*\n)?found: {count:,}"):
            read_dataset(locate(f"{tmp_path}/", []))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("train.txt", "1 3 2000000000\n0 1:1\n", "train.txt: too many labels .*\n.*\nfound: 2,000,000,000"),
        ("train.txt", "1 2000000000 3\n0 1:1\n", "train.txt: too many features .*\n.*\nfound: 2,000,000,000"),
        ("train.svm", "0 2000000000:1\n", "train.svm: too many features .*\n.*\nfound: 2,000,000,001"),
    ],
)
def test_more_columns_than_a_small_file_can_mean_are_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=said):
        read_dataset(locate(f"{tmp_path}/", []))


def test_a_line_number_of_thousands_of_digits_is_a_problem_of_its_line(tmp_path: Path) -> None:
    (tmp_path / "a_data.txt").write_text("1 4 2\n0 0:1\n")
    (tmp_path / "a_trSplit.txt").write_text("1\n" + "9" * 5000 + "\n")
    (tmp_path / "a_tstSplit.txt").write_text("1\n")
    with pytest.raises(DatasetError, match="line 2: expected a document's number, 1 to 1"):
        read_dataset(locate(f"{tmp_path}/", []))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_within_the_file_and_its_bound(tmp_path: Path) -> None:
    """Each is read in a process whose address space is hardly larger than what its modules need."""
    for fault in ("zip bomb", "header claims 10^12 values", "shape of 10^9 rows in CSC", "indptr of 10^9 zeros"):
        MALFORMED[fault](tmp_path / f"{fault}.npz")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from xmlcli.datasets.formats.matrices import read_matrix; from xmlcli.errors import DatasetError\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), used + (32 << 20)))\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_matrix(Path(path)); sys.exit(f'{path} was read')\n"
        "    except DatasetError: pass\n"
    )
    paths = [str(path) for path in tmp_path.iterdir()]
    subprocess.run([sys.executable, "-c", code, *paths], check=True, cwd=PROJECT)
