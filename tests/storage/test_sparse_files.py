"""Sparse matrices from `.npz`: good ones of any writer are read as SciPy reads them, each bad one is told."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from support import hostile_matrices
from support.hostile_matrices import COLUMNS, MALFORMED, ROWS, header, members, npy

from xmlcli.errors import ArtifactError
from xmlcli.storage.artifacts import Artifact
from xmlcli.storage.npz_archive import SparseFileError
from xmlcli.storage.sparse_files import read_csr, read_stored

NOT_SEEN_BY_MAPS = {"checksum"}
ONES = np.ones(3, np.float32).tobytes()
DENSE = sp.random(7, 5, 0.5, random_state=0, dtype=np.float64).toarray()


def artifact(folder: Path) -> Artifact:
    entries = {"X_train.npz": {"dtype": "float32", "shape": [ROWS, COLUMNS]}}
    return Artifact(folder, "prepared", "", {}, entries, "xmlcli prepare")


@pytest.mark.parametrize("fault", MALFORMED)
def test_an_artifact_with_a_malformed_matrix_is_damaged(fault: str, tmp_path: Path) -> None:
    MALFORMED[fault](tmp_path / "X_train.npz")
    with pytest.raises(ArtifactError) as error:
        artifact(tmp_path).csr("X_train.npz")
    assert f"where: {tmp_path / 'X_train.npz'}\nfound: " in str(error.value)
    if fault not in NOT_SEEN_BY_MAPS:
        with pytest.raises(ArtifactError):
            artifact(tmp_path).mapped_csr("X_train.npz")
        with pytest.raises(ArtifactError):
            artifact(tmp_path).csr_rows("X_train.npz", slice(1, 2))


def test_faults_name_what_was_expected_and_found(tmp_path: Path) -> None:
    for fault, said in (
        ("index out of range", "row 1: index 4; expected an index of 0 or more, below 4"),
        ("index negative", "row 1: index -1; expected an index of 0 or more, below 4"),
        ("index in CSC", "column 2: index 3; expected an index of 0 or more, below 3"),
        ("row in COO", "entry 2: row 3; expected 0 or more, below 3"),
        ("indptr falls", "row 2: 2 after 3; expected indptr that never falls"),
        ("indptr behind the end", "indptr from 0 to 9; expected from 0 to 3"),
        ("shape of 10^12 rows", "shape 1000000000000 by 4; expected rows and columns, at most 2,147,483,647 each"),
        ("shape of 10^9 rows", "indptr of length 4; expected 1,000,000,001 for 1,000,000,000 rows"),
        ("header claims 10^12 values", "data of 12 bytes; expected 4,000,000,000,000 as its header says"),
        ("size claimed when unpacked", "bytes in all"),
        ("data more", "4 values; expected 3, one for each index"),
        ("encrypted", "format is encrypted"),
        ("compression unknown", "format is compressed by method 99"),
        ("header of 4 GiB", "data with a header of 4,294,967,295 bytes"),
        ("member twice", "'data.npy' twice"),
    ):
        path = tmp_path / "bad.npz"
        MALFORMED[fault](path)
        with pytest.raises(SparseFileError) as error, path.open("rb") as content:
            read_stored(content, path.stat().st_size)
        assert said in str(error.value), fault


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", "f8", "g", ">f8", ">i2"])
def test_matrices_of_any_writer_are_read(form: str, dtype: str, compressed: bool, tmp_path: Path) -> None:
    expected = (10 * DENSE).astype(dtype)
    stored = sp.csr_matrix(10 * DENSE).asformat(form)
    stored.data = stored.data.astype(dtype)
    sp.save_npz(tmp_path / "m.npz", stored, compressed=compressed)
    with (tmp_path / "m.npz").open("rb") as content:
        found = read_csr(content, (tmp_path / "m.npz").stat().st_size, np.float32)
    assert found.dtype == np.float32
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), expected.astype(np.float32))


@pytest.mark.parametrize(
    "changed",
    [
        {"indices": npy(np.array([1, 3, 0], ">i8")), "indptr": npy(np.array([0, 2, 2, 3], np.uint32))},
        {"format": npy("csr"), "_is_array": npy(True)},
        {"data": header("{'shape':(3L,),'fortran_order': True,'descr':'<f4'}", ONES)},
        {"data": header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", ONES, version=3)},
        {"more": b"something else"},
    ],
)
def test_arrays_of_any_writer_are_read(changed: dict[str, bytes], tmp_path: Path) -> None:
    hostile_matrices.write(tmp_path / "m.npz", faults=changed)
    with (tmp_path / "m.npz").open("rb") as content:
        found = read_csr(content, 1000)
    assert found.toarray().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_repeated_and_unsorted_entries_are_brought_in_order_and_stored_zeros_kept(tmp_path: Path) -> None:
    messy = sp.csr_matrix((np.array([1, 2, 4, 0], np.int8), [3, 0, 3, 1], [0, 4]), shape=(1, 4))
    sp.save_npz(tmp_path / "m.npz", messy)
    with (tmp_path / "m.npz").open("rb") as content:
        found = read_csr(content, 1000, np.float32)
    assert (found.indices.tolist(), found.data.tolist()) == ([0, 1, 3], [2, 0, 5])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_value_that_is_not_finite_is_told_with_its_row(value: float, tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "m.npz", sp.csr_matrix(np.array([[1.0, 0], [0, 0], [2, value]])))
    found = "inf" if value == 1e300 else value
    with (
        pytest.raises(SparseFileError, match=f"row 3: {found} in column 1"),
        (tmp_path / "m.npz").open("rb") as content,
    ):
        read_csr(content, 1000, np.float32)
    with (tmp_path / "m.npz").open("rb") as content:
        assert read_stored(content, 1000).data[-1] == pytest.approx(value, nan_ok=True)


def test_what_a_file_may_unpack_to_grows_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("xmlcli.storage.npz_archive._FREE_BYTES", 1000)
    path = tmp_path / "m.npz"
    sp.save_npz(path, sp.csr_matrix((20_000, 5), dtype=np.float32))  # 80 kB of zeros
    size = path.stat().st_size
    with pytest.raises(SparseFileError, match="bytes in all"), path.open("rb") as content:
        read_csr(content, size)
    with path.open("rb") as content:
        assert read_csr(content, 5 * size).shape == (20_000, 5)


def test_rows_without_data_are_bounded_by_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("xmlcli.storage.sparse_files._FREE_ROWS", 100)
    for form in ("csc", "coo"):
        sp.save_npz(tmp_path / "m.npz", sp.coo_matrix((2000, 1)).asformat(form))
        with pytest.raises(SparseFileError, match="2,000 rows; expected at most 1,100"):
            read_stored((tmp_path / "m.npz").open("rb"), 1000)


def _plain(content: bytes) -> str | None:
    try:
        read_csr(io.BytesIO(content), len(content), np.float32)
    except SparseFileError as error:
        return str(error)
    return None


@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    form=st.sampled_from(["csr", "csc", "coo"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=9)), min_size=1, max_size=3),
    cut=st.floats(0.5, 1.2),
)
def test_any_change_of_bytes_gives_a_matrix_or_a_fault(
    method: int, form: str, changes: list[tuple[float, bytes]], cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("m") / "m.npz"
    hostile_matrices.write(path, form, method=method)
    content = bytearray(path.read_bytes())
    for place, new in changes:
        at = int(place * len(content))
        content[at : at + len(new)] = new
    _plain(bytes(content[: int(cut * len(content))]))


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from(["csr", "csc", "coo"]),
    name=st.integers(0, 4),
    place=st.floats(0, 1, exclude_max=True),
    value=st.sampled_from([-(2**31), -1, 0, 1, 2, 3, 4, 2**31 - 1]),
)
def test_any_change_of_numbers_gives_a_matrix_or_a_fault(form: str, name: int, place: float, value: int) -> None:
    out, parts = io.BytesIO(), members(form)
    changed = sorted(parts)[name]
    content = bytearray(parts[changed])
    at = len(content) - 12 + 4 * int(3 * place) if changed != "format" else len(content) - 3
    content[at : at + 4] = struct.pack("<i", value)
    with zipfile.ZipFile(out, "w") as archive:
        for member, old in parts.items():
            archive.writestr(f"{member}.npy", bytes(content) if member == changed else old)
    _plain(out.getvalue())
