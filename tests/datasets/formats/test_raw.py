"""What all readers share: matrices of labels, filters, names, and how problems are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmlcli.datasets.formats.raw import FileProblems, label_matrix, read_filter, read_names
from xmlcli.errors import DatasetError


def test_a_label_named_twice_counts_once() -> None:
    Y = label_matrix(np.array([3, 0, 1]), np.array([4, 1, 4, 0], np.int32), 5)
    assert Y.dtype == np.float32
    assert Y.toarray().tolist() == [[0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert Y.has_canonical_format


def test_a_filter_names_rows_and_labels_below_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "filter.txt"
    path.write_text("0 4\n\n 2\t0 \n")
    found = read_filter(path, 3, 5)
    assert (found.dtype, found.tolist()) == (np.int32, [[0, 4], [2, 0]])
    path.write_text("")
    assert read_filter(path, 3, 5).shape == (0, 2)
    for line in ("3 0", "0 5", "-1 0", "0", "0 1 2", "a b", "0 1.0", f"0 {'9' * 5000}"):
        path.write_text(f"0 0\n{line}\n")
        with pytest.raises(DatasetError, match="line 2: expected a row below 3 and a label below 5"):
            read_filter(path, 3, 5)


def test_names_are_as_many_as_is_said_and_a_published_file_may_be_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "Y.txt"
    path.write_bytes("\ufeffrot\r\n\nblau".encode())
    assert read_names(path, 3) == ["rot", "", "blau"]
    assert read_names(path, None) == ["rot", "", "blau"]
    for count in (2, 4):
        with pytest.raises(DatasetError, match="wrong number of lines"):
            read_names(path, count)
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_names(path, 1)
    assert read_names(path.rename(tmp_path / "Yf.txt"), 1) == ["café"]


def test_ten_problems_are_shown_and_the_rest_is_counted() -> None:
    problems = FileProblems(Path("f"))
    problems.raise_if_any()
    for line in range(1, 13):
        problems.add(line, "a", "b" * 200, "mend it")
    with pytest.raises(DatasetError) as error:
        problems.raise_if_any()
    first, *shown, more, remedy = str(error.value).splitlines()
    assert (first, more, remedy) == ("f: 12 problems", "(2 more)", "what to do: mend it")
    assert [line.partition(":")[0] for line in shown] == [f"line {line}" for line in range(1, 11)]
    assert all(len(line) < 110 for line in shown)
