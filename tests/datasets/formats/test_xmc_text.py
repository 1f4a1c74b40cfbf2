"""The reader of the bag-of-words layout against a naive one, and its complaints."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmlcli.datasets.formats import xmc_text
from xmlcli.datasets.formats.problems import FileProblems
from xmlcli.datasets.formats.raw import RawSplit
from xmlcli.datasets.formats.xmc_lines import Header, ParsedRows, parse_lines
from xmlcli.errors import DatasetError
from xmlcli.progress import silent

NUM_FEATURES, NUM_LABELS = 12, 7
Document = tuple[list[int], list[tuple[int, str]]]


def write(path: Path, lines: list[str], header: str | None = None, ending: str = "\n") -> Path:
    first = f"{len(lines)} {NUM_FEATURES} {NUM_LABELS}" if header is None else header
    path.write_bytes("".join(line + ending for line in [first, *lines]).encode())
    return path


def line_of(document: Document) -> str:
    labels, features = document
    return ",".join(map(str, labels)) + " " + " ".join(f"{feature}:{value}" for feature, value in features)


def naive(documents: list[Document]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    X = np.zeros((len(documents), NUM_FEATURES), np.float32)
    Y = np.zeros((len(documents), NUM_LABELS), np.float32)
    for row, (labels, features) in enumerate(documents):
        Y[row, labels] = 1
        for feature, value in features:
            X[row, feature] = float(value)
    return X, Y


def assert_equals(split: RawSplit, documents: list[Document]) -> None:
    X, Y = naive(documents)
    assert split.texts is None
    assert split.X is not None
    for matrix, expected in ((split.X, X), (split.Y, Y)):
        assert matrix.dtype == np.float32
        assert matrix.has_canonical_format
        assert matrix.data.all()  # no zero is stored
        np.testing.assert_array_equal(matrix.toarray(), expected)


values = st.sampled_from(["1", "0.5", "-2.25", "1e-3", "3.5E+2", "0", "0.073460", "12345.678"])
documents = st.tuples(
    st.lists(st.integers(0, NUM_LABELS - 1), max_size=4),
    st.lists(st.tuples(st.integers(0, NUM_FEATURES - 1), values), unique_by=lambda pair: pair[0], max_size=5),
)


@settings(max_examples=80, deadline=None)
@given(collection=st.lists(documents, max_size=8), block=st.integers(1, 60), ending=st.sampled_from(["\n", "\r\n"]))
def test_any_file_reads_as_the_naive_reader_does_whatever_the_block(
    tmp_path_factory: pytest.TempPathFactory, collection: list[Document], block: int, ending: str
) -> None:
    path = write(tmp_path_factory.mktemp("xmc") / "train.txt", [line_of(d) for d in collection], ending=ending)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xmc_text, "_BLOCK_BYTES", block)
        assert_equals(xmc_text.read_split(path), collection)


@settings(max_examples=60, deadline=None)
@given(collection=st.lists(documents, min_size=1, max_size=6))
def test_line_by_line_parser_agrees_with_the_array_parser(
    tmp_path_factory: pytest.TempPathFactory, collection: list[Document]
) -> None:
    path = write(tmp_path_factory.mktemp("xmc") / "train.txt", [line_of(d) for d in collection])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xmc_text, "_parse_block", lambda block, header: None)
        assert_equals(xmc_text.read_split(path), collection)


def test_only_unusual_blocks_are_parsed_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[bytes] = []

    def watched(block: bytes, first_line: int, header: Header, problems: FileProblems) -> ParsedRows:
        slow.extend([block] if block else [])
        return parse_lines(block, first_line, header, problems)

    monkeypatch.setattr(xmc_text, "parse_lines", watched)
    usual = ["1,2 0:1 3:0.5", " 4:1", "4:1 2:-1e-3", "", "3 ", "5", "0,0 11:1", "1  2:1"]
    xmc_text.read_split(write(tmp_path / "train.txt", usual))
    assert slow == []
    xmc_text.read_split(write(tmp_path / "train.txt", ["  1 2:1"]))
    assert slow == [b"  1 2:1\n"]


def test_documents_without_labels_or_features_and_unusual_spaces_are_read(tmp_path: Path) -> None:
    lines = [" 3:1", "3:1", "", "  ", "5", "1,1,2   0:1\t2:2 ", "6 "]
    expected: list[Document] = [
        ([], [(3, "1")]),
        ([], [(3, "1")]),
        ([], []),
        ([], []),
        ([5], []),
        ([1, 2], [(0, "1"), (2, "2")]),
        ([6], []),
    ]
    assert_equals(xmc_text.read_split(write(tmp_path / "train.txt", lines)), expected)


def test_missing_last_newline_and_blank_end_are_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("2 12 7\n1 0:1\n2 1:1")
    assert_equals(xmc_text.read_split(path), [([1], [(0, "1")]), ([2], [(1, "1")])])
    path.write_text("2 12 7\n1 0:1\n2 1:1\n\n\n")
    assert_equals(xmc_text.read_split(path), [([1], [(0, "1")]), ([2], [(1, "1")])])


def test_max_documents_takes_the_first_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmc_text, "_BLOCK_BYTES", 16)
    path = write(tmp_path / "train.txt", ["1 0:1", "2 1:1", "3 2:1"] + ["broken"] * 50)
    assert_equals(xmc_text.read_split(path, max_documents=2), [([1], [(0, "1")]), ([2], [(1, "1")])])


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmc_text, "_BLOCK_BYTES", 16)
    path = write(tmp_path / "train.txt", ["1 0:1"] * 9)
    told: list[tuple[str, int, int]] = []
    xmc_text.read_split(path, progress=lambda label, done, total: told.append((label, done, total)))
    assert told[-1] == ("read train.txt", path.stat().st_size, path.stat().st_size)
    assert len(told) > 2


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        ("1 12:1", "a feature id below 12", "'12:1'"),
        ("1 x:1", "a feature id below 12", "'x:1'"),
        ("1 -1:1", "a feature id below 12", "'-1:1'"),
        ("1 1.0:1", "a feature id below 12", "'1.0:1'"),
        ("1 3", "a finite value", "'3'"),
        ("1 0:1,2:1", "a finite value", "'0:1,2:1'"),
        ("1 0:1:2", "a finite value", "'0:1:2'"),
        ("1 0:", "a finite value", "'0:'"),
        ("1 0:nan", "a finite value", "'0:nan'"),
        ("1 0:1e39", "a finite value", "'0:1e39'"),
        ("1 0:-1e39", "a finite value", "'0:-1e39'"),
        ("1 0:-inf", "a finite value", "'0:-inf'"),
        ("1 0:1.2.3", "a finite value", "'0:1.2.3'"),
        ("1 0:1-2", "a finite value", "'0:1-2'"),
        ("1 4:1 4:2", "each feature once", "4 again"),
        ("1 4:1 0:1 4:2", "each feature once", "4 again"),
        ("7 0:1", "a label id below 7", "'7'"),
        ("1,,2 0:1", "a label id below 7", "''"),
        ("1, 0:1", "a label id below 7", "''"),
        ("99999999999999999999 0:1", "a label id below 7", "'99999999999999999999'"),
        ("1.5 0:1", "a label id below 7", "'1.5'"),
    ],
)
def test_malformed_line_is_named_with_what_is_wrong(tmp_path: Path, line: str, expected: str, found: str) -> None:
    path = write(tmp_path / "train.txt", ["1 0:1", line, "2 1:1"])
    with pytest.raises(DatasetError) as caught:
        xmc_text.read_split(path)
    message = str(caught.value)
    assert f"{path}: 1 problem\n" in message
    assert "line 3: " in message
    assert expected in message
    assert found in message


@pytest.mark.parametrize("header", ["", "3 12", "a b c", "1 0:1", "1 2 3 4", "-1 12 7"])
def test_malformed_header_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(DatasetError, match=r"header[\s\S]*line 1"):
        xmc_text.read_split(write(tmp_path / "train.txt", ["1 0:1"], header=header))


@pytest.mark.parametrize("count", [1, 3])
def test_wrong_number_of_documents_is_refused(tmp_path: Path, count: int) -> None:
    path = write(tmp_path / "train.txt", ["1 0:1", "2 1:1"], header=f"{count} 12 7")
    with pytest.raises(DatasetError, match=f"line 3: expected {count} documents after the header, as it says, found 2"):
        xmc_text.read_split(path)


def test_all_problems_are_counted_and_ten_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmc_text, "_BLOCK_BYTES", 40)
    lines = ["1 0:1", "8 99:1"] * 20
    with pytest.raises(DatasetError) as caught:
        xmc_text.read_split(write(tmp_path / "train.txt", lines))
    message = str(caught.value)
    assert "40 problems" in message
    assert "(30 more)" in message
    assert [int(line.split(":")[0][5:]) for line in message.splitlines()[1:-1]] == [3, 3, 5, 5, 7, 7, 9, 9, 11, 11]


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal read
            read += size or 0
            return b"0:1 " * 8

    monkeypatch.setattr(xmc_text, "MOST_LINE_BYTES", 1000)
    path = tmp_path / "train.txt"
    path.touch()
    with pytest.raises(DatasetError, match=r"train\.txt: a line too long"):
        list(xmc_text._blocks(Endless(), lambda: 0, path, silent))
    assert 0 < read < 50 * xmc_text._BLOCK_BYTES


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_blocks_are_whole_lines_however_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(xmc_text, "_BLOCK_BYTES", size)
    path = tmp_path / "train.txt"
    path.touch()
    blocks = list(xmc_text._blocks(io.BytesIO(b"0 1:2\r\n\n3 4:5 6:7\n8 9:1\r"), lambda: 0, path, silent))
    assert b"".join(blocks) == b"0 1:2\n\n3 4:5 6:7\n8 9:1\n"
    assert all(block.endswith(b"\n") for block in blocks)
