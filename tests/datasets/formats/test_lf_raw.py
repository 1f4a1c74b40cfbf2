"""The reader of the raw-text layout, and its complaints."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from xmlcli.datasets.formats.lf_raw import read_label_names, read_split
from xmlcli.errors import DatasetError

NUM_LABELS = 4
GOOD: dict[str, Any] = {"uid": "a", "title": "Tïtle", "content": "Text", "target_ind": [3, 1], "target_rel": [1.0, 1.0]}


def write(path: Path, records: list[Any]) -> Path:
    """One record a line, JSON unless it is bytes already."""
    lines = b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records)
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


@pytest.mark.parametrize("name", ["trn.json", "trn.json.gz"])
def test_title_and_content_make_the_text_and_repeated_labels_count_once(tmp_path: Path, name: str) -> None:
    records = [
        GOOD,
        {"title": "Only a title", "content": "", "target_ind": []},
        {"title": "No content", "target_ind": [2, 0, 2]},
    ]
    split = read_split(write(tmp_path / name, records), NUM_LABELS)
    assert split.texts == ["Tïtle Text", "Only a title", "No content"]
    assert split.X is None
    assert split.Y.toarray().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0]]
    assert split.Y.has_canonical_format
    assert split.Y.dtype == "float32"


def test_max_documents_takes_the_first_and_reads_no_further(tmp_path: Path) -> None:
    split = read_split(write(tmp_path / "trn.json", [GOOD, GOOD, b"broken"]), NUM_LABELS, max_documents=2)
    assert split.Y.shape == (2, NUM_LABELS)


def test_empty_file_has_no_documents(tmp_path: Path) -> None:
    assert read_split(write(tmp_path / "tst.json.gz", []), NUM_LABELS).Y.shape == (0, NUM_LABELS)


def test_label_names_stand_in_the_order_of_their_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "lbl.json.gz", [{"uid": "9", "title": "b"}, {"title": "a", "content": ""}])
    assert read_label_names(path) == ["b", "a"]


@pytest.mark.parametrize(
    ("record", "expected", "found"),
    [
        (b"{not json", "a JSON object", "{not json"),
        (b"", "a JSON object", "''"),
        ([1, 2], "a JSON object", "[1, 2]"),
        ({"content": "x", "target_ind": []}, "title present", "content: str, target_ind: list"),
        ({"title": None, "target_ind": []}, "title present", "title: NoneType"),
        ({"title": "x", "content": 3, "target_ind": []}, "keys title and content", "content: int"),
        ({"title": "x"}, "target_ind", "title: str"),
        ({"title": "x", "target_ind": "1"}, "list of label ids", "target_ind: str"),
        ({"title": "x", "target_ind": [1.0]}, "list of label ids", "target_ind: list"),
        ({"title": "x", "target_ind": [True]}, "list of label ids", "target_ind: list"),
        ({"title": "x", "target_ind": [0, 4]}, "label ids below 4", "4"),
        ({"title": "x", "target_ind": [-1]}, "label ids below 4", "-1"),
    ],
)
def test_malformed_line_is_named_with_what_is_wrong(tmp_path: Path, record: Any, expected: str, found: str) -> None:
    path = write(tmp_path / "trn.json.gz", [GOOD, record, GOOD])
    with pytest.raises(DatasetError) as caught:
        read_split(path, NUM_LABELS)
    message = str(caught.value)
    assert f"{path}: 1 problem\nline 2: " in message
    assert expected in message
    assert found in message


def test_all_problems_are_counted_and_ten_shown(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="12 problems") as caught:
        read_split(write(tmp_path / "trn.json", [{}] * 12), NUM_LABELS)
    assert str(caught.value).count("line ") == 10
    assert "(2 more)" in str(caught.value)


def test_label_without_title_and_damaged_gzip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 2: expected text under the key title"):
        read_label_names(write(tmp_path / "lbl.json", [{"title": "a"}, {"uid": "1"}]))
    path = write(tmp_path / "trn.json.gz", [{**GOOD, "content": str(i)} for i in range(500)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="damaged gzip"):
        read_split(path, NUM_LABELS)
    path.write_bytes(b"not gzip at all")
    with pytest.raises(DatasetError, match="damaged gzip"):
        read_split(path, NUM_LABELS)
