"""Writing datasets in other layouts: what is read back is what was written, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xmlcli.datasets.convert import write_dataset
from xmlcli.datasets.find import locate
from xmlcli.datasets.formats.raw import RawDataset, RawSplit
from xmlcli.datasets.load import read_dataset
from xmlcli.errors import UsageError

Y = sp.csr_matrix(np.array([[1, 0, 1], [0, 0, 0]], np.float32))
FILTER = np.array([[1, 2]], np.int32)


def dataset(train: RawSplit, test: RawSplit | None, names: list[str] | None = None) -> RawDataset:
    return RawDataset(train, test, names, None, None if test is None else FILTER, 0.55, 1.5)


def assert_same(a: RawSplit | None, b: RawSplit | None) -> None:
    assert (a is None) == (b is None)
    if a is None or b is None:
        return
    assert a.texts == b.texts
    for one, other in ((a.X, b.X), (a.Y, b.Y)):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.shape == other.shape
            np.testing.assert_array_equal(one.toarray(), other.toarray())


@settings(max_examples=40, deadline=None)
@given(
    X=hnp.arrays(np.float32, (2, 4), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    layout=st.sampled_from(["lf", "pecos"]),
)
def test_matrices_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, X: np.ndarray, layout: str) -> None:
    matrix = sp.csr_matrix(X)
    matrix.eliminate_zeros()
    whole = dataset(RawSplit(None, matrix, Y), RawSplit(None, matrix[::-1].sorted_indices(), Y), ["a", "", "c d"])
    target = tmp_path_factory.mktemp("convert") / "out"
    write_dataset(whole, target, layout)
    back = read_dataset(locate(str(target), []))
    assert_same(whole.train, back.train)
    assert_same(whole.test, back.test)
    assert back.label_names == ["a", "", "c d"]
    assert back.test_filter is not None
    assert back.test_filter.tolist() == FILTER.tolist()


def test_the_same_texts_have_the_same_bytes_at_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dataset(RawSplit(["a text", "b"], None, Y), None, ["x", "y", "z"])
    for name, now in (("a", 1e9), ("b", 2e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        write_dataset(whole, tmp_path / name, "lf")
    assert len(list((tmp_path / "a").iterdir())) == 2
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("layout", ["lf", "pecos"])
@pytest.mark.parametrize("names", [["a", "b", "c"], None])
def test_texts_come_back(tmp_path: Path, layout: str, names: list[str] | None) -> None:
    whole = dataset(RawSplit(["one ü\u2028 x", ""], None, Y), None, names)
    write_dataset(whole, tmp_path / "out", layout)
    back = read_dataset(locate(str(tmp_path / "out"), []))
    expected = ["one ü\u2028 x", ""] if layout == "lf" else ["one ü  x", ""]
    assert back.train.texts == expected
    np.testing.assert_array_equal(back.train.Y.toarray(), Y.toarray())
    assert back.label_names == names
    assert back.test is None


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    whole = dataset(RawSplit(["one", "two"], None, Y), None, ["a", "b", "c"])
    for name in ("a", "b"):
        write_dataset(whole, tmp_path / name, "lf")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    def stop(label: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(dataset(RawSplit(["a", "b"], None, Y), None), tmp_path / "out", "lf", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_target_in_the_way_and_an_unknown_layout_are_refused(tmp_path: Path) -> None:
    whole = dataset(RawSplit(["a", "b"], None, Y), None)
    with pytest.raises(UsageError, match="lf or pecos"):
        write_dataset(whole, tmp_path / "out", "csv")
    (tmp_path / "out").mkdir()
    write_dataset(whole, tmp_path / "out", "lf")
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    with pytest.raises(UsageError, match="in the way"):
        write_dataset(whole, tmp_path / "out", "pecos")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before
