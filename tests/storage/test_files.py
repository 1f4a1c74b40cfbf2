"""The stored form of a matrix, and JSON of any origin."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from support.permissions import forbidden

from xmlcli.storage import files


def test_matrices_are_stored_in_canonical_form_and_left_as_they_are(tmp_path: Path) -> None:
    messy = sp.csr_matrix((np.ones(3, np.float32), np.array([2, 0, 0]), np.array([0, 3])), shape=(1, 3))
    files.save_csr(tmp_path / "m.npz", messy)
    stored = files.load_csr(tmp_path / "m.npz")
    assert stored.has_canonical_format
    assert stored.toarray().tolist() == [[2, 0, 1]]
    assert messy.nnz == 3


def test_json_has_its_keys_in_order_inside_too_and_a_line_for_each_outer_one() -> None:
    given = {"b": {"z": [1, {"y": 2, "x": "ß"}], "a": None}, "a": 0.5}
    assert files.json_bytes(given).decode() == '{\n  "a": 0.5,\n  "b": {"a": null, "z": [1, {"x": "ß", "y": 2}]}\n}\n'
    assert files.json_bytes([{"b": 1, "a": 2}]) == b'[{"a": 2, "b": 1}]\n'


def test_a_file_may_be_as_large_as_is_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert files.read_bounded(tmp_path / "f", 5) == b"12345"
    with pytest.raises(ValueError, match="5 bytes, where at most 4"):
        files.read_bounded(tmp_path / "f", 4)


BAD_JSON = {
    "nothing": b"",
    "half": b'{"a": 1',
    "no object": b"[1]",
    "a number": b"3",
    "not UTF-8": b'{"a": "\xff"}',
    "nested": b'{"a":' * 100_000,
    "nested and closed": b"[" * 100_000 + b"]" * 100_000,
    "just too deep": b'{"a":' * 51 + b"1" + b"}" * 51,
    "many digits": b'{"a": ' + b"9" * 5000 + b"}",
    "no number": b'{"a": NaN}',
    "infinite": b'{"a": -Infinity}',
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("content", BAD_JSON.values(), ids=BAD_JSON)
def test_a_damaged_record_counts_as_absent_with_a_line(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "record.json"
    assert files.read_json(path) is None
    assert not caplog.messages
    path.write_bytes(content)
    assert files.read_json(path) is None
    assert len(caplog.messages) == 1
    assert str(path) in caplog.messages[0]


def test_a_record_of_any_bytes_never_raises(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = bytearray(json.dumps({"a": [1, {"b": None}], "c": "text", "d": 1.5}).encode())
    path = tmp_path / "record.json"
    for _ in range(300):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 2):
            content[at] = rng.integers(0, 256)
        path.write_bytes(content)
        files.read_json(path)


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a huge file", "a device"])
def test_what_is_no_small_file_counts_as_absent(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "record.json"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    assert files.read_json(path) is None


def test_depth_is_counted_in_values_and_not_in_brackets_of_texts() -> None:
    assert files.parse_json(json.dumps(["[" * 60, {"{": "{["}]).encode()) == ["[" * 60, {"{": "{["}]
    assert files.parse_json(b"[" * 50 + b"]" * 50)
    assert files.parse_json(b'"' + b"[" * 60 + b'"') == "[" * 60
    with pytest.raises(ValueError, match="nested too deeply"):
        files.parse_json(b"[" * 51 + b"]" * 51)


def test_a_record_without_permission_is_not_called_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "record.json"
    path.write_text("{}")
    with forbidden(path), pytest.raises(PermissionError) as error:
        files.read_json(path)
    assert error.value.filename == str(path)
    assert not caplog.messages
