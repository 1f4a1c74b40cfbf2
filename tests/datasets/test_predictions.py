"""Predictions of another system: both file formats against the worked example and a naive oracle, and each error."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import PROJECT
from test_metrics import GOLDEN, Rows, csr, golden_training_labels, naive_metric, naive_top_k, truth_matrix
from typer.testing import CliRunner

from xmlcli.cli import app
from xmlcli.datasets.formats.raw import RawDataset, RawSplit
from xmlcli.datasets.predictions import measure_predictions, rank_predictions, read_predictions
from xmlcli.errors import DatasetError
from xmlcli.metrics import METRIC_NAMES, Metric, inverse_propensity

TRUTH: list[set[int]] = [{0, 3}, {1}, set(), {0, 1, 2, 4, 5}]
SCORES: Rows = [
    {0: 0.9, 1: 0.8, 2: 0.7, 4: 0.1},
    {2: 0.5, 1: 0.4},
    {0: 0.3},
    {0: 0.9, 4: 0.8, 3: 0.7, 2: 0.6, 1: 0.5, 5: 0.4},
]
METRICS = [Metric(name, k) for name in METRIC_NAMES for k in range(1, 6)]
EXPECTED = {f"{name}@{k + 1}": value for name, row in GOLDEN.items() for k, value in enumerate(row)}

invoke = CliRunner().invoke


def entries(scores: Rows, num_labels: int) -> sp.coo_matrix:
    """float64, stored zeros kept, in reverse order."""
    found = [(row, label, score) for row, labels in enumerate(scores) for label, score in labels.items()][::-1]
    rows, labels, data = ([entry[at] for entry in found] for at in range(3))
    return sp.coo_matrix((np.array(data, np.float64), (rows, labels)), (len(scores), num_labels))


def as_matrix(path: Path, scores: Rows, num_labels: int) -> Path:
    sp.save_npz(path.with_suffix(".npz"), entries(scores, num_labels).tocsr())
    return path.with_suffix(".npz")


def as_coordinates(path: Path, scores: Rows, num_labels: int) -> Path:
    sp.save_npz(path.with_suffix(".npz"), entries(scores, num_labels))
    return path.with_suffix(".npz")


def as_text(path: Path, scores: Rows, num_labels: int) -> Path:
    path.write_text("".join(" ".join(f"{label}:{score!r}" for label, score in row.items()) + "\n" for row in scores))
    return path


def as_zipped_text(path: Path, scores: Rows, num_labels: int) -> Path:
    lines = [f"{len(scores)} {num_labels}"]
    lines += [",".join(f"{label}:{score!r}" for label, score in reversed(row.items())) for row in scores]
    path = path.with_suffix(".gz")
    path.write_bytes(gzip.compress("\r\n".join([*lines, ""]).encode()))
    return path


WRITERS = (as_matrix, as_coordinates, as_text, as_zipped_text)
every_format = pytest.mark.parametrize("write", WRITERS)
Write = Callable[[Path, Rows, int], Path]


def dataset(Y_train: sp.csr_matrix, Y_test: sp.csr_matrix | None, test_filter: object = None) -> RawDataset:
    test = None if Y_test is None else RawSplit(["text"] * Y_test.shape[0], None, Y_test)
    pairs = None if test_filter is None else np.array(test_filter, np.int32).reshape(-1, 2)
    return RawDataset(RawSplit(["text"] * Y_train.shape[0], None, Y_train), test, None, None, pairs, 0.55, 1.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The worked example as a dataset on disk, in SciPy's matrices."""
    folder = tmp_path / "golden"
    folder.mkdir()
    for split, Y in (("trn", golden_training_labels()), ("tst", truth_matrix(TRUTH, 6))):
        sp.save_npz(folder / f"X_{split}.npz", sp.csr_matrix((Y.shape[0], 3)))
        sp.save_npz(folder / f"Y_{split}.npz", Y)
    return folder


@every_format
def test_worked_example_through_every_format(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "theirs", SCORES, 6)
    values = measure_predictions(path, dataset(golden_training_labels(), truth_matrix(TRUTH, 6)), METRICS)
    assert {name: round(value, 4) for name, value in values.items()} == EXPECTED


rows_of_scores = st.lists(
    st.dictionaries(st.integers(0, 6), st.sampled_from([-1.0, 0.0, 1 / 3, 1 / 3 + 1e-12, 2.0]), max_size=7),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(scores=rows_of_scores, write=st.sampled_from(WRITERS), data=st.data())
def test_metrics_equal_the_naive_oracle(
    scores: Rows, write: Write, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("p") / "theirs", scores, 7)
    truth = data.draw(st.lists(st.sets(st.integers(0, 6)), min_size=len(scores), max_size=len(scores)))
    pairs = data.draw(st.sets(st.tuples(st.integers(0, len(scores) - 1), st.integers(0, 6)), max_size=8))
    Y_train = sp.csr_matrix(np.triu(np.ones((9, 7), np.float32)))
    k = data.draw(st.integers(1, 9))
    metrics = [Metric(name, cut) for name in METRIC_NAMES for cut in range(1, k + 1)]
    measured = measure_predictions(path, dataset(Y_train, truth_matrix(truth, 7), sorted(pairs)), metrics)
    allowed = [{label: row[label] for label in row if (n, label) not in pairs} for n, row in enumerate(scores)]
    weights = inverse_propensity(Y_train, 0.55, 1.5).astype(np.float64).tolist()
    for metric in metrics:
        expected = 100 * naive_metric(metric, naive_top_k(allowed, 7, k), truth, weights)
        assert measured[str(metric)] == pytest.approx(expected, abs=1e-9), metric


@every_format
def test_ties_go_to_the_lower_id_and_what_is_stored_is_ranked(write: Write, tmp_path: Path) -> None:
    scores: Rows = [{4: 0.5, 2: 0.5, 0: 0.0, 3: -1.0}, {}, {5: 1.0 + 1e-12, 1: 1.0}]
    top = rank_predictions(read_predictions(write(tmp_path / "theirs", scores, 6), 3, 6), 7)
    assert top.dtype == np.int32
    assert top.tolist() == [[2, 4, 0, 3, 6, 6, 6], [6] * 7, [5, 1, 6, 6, 6, 6, 6]]


def test_filtered_pairs_take_no_place_among_the_k() -> None:
    pairs = np.array([[0, 0], [0, 1], [1, 5]], np.int32)
    scores = csr([{0: 0.9, 1: 0.8, 2: 0.7, 4: 0.1}, {2: 0.5, 1: 0.4}], 6)
    assert rank_predictions(scores, 2, pairs).tolist() == [[2, 4], [2, 1]]
    assert rank_predictions(scores, 2, pairs[:0]).tolist() == [[0, 1], [2, 1]]


def test_blank_lines_behind_the_last_document_are_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "theirs.txt"
    path.write_text("0:1\n\n\n \n")
    for num_rows in (1, 2, 4):
        assert read_predictions(path, num_rows, 3).getnnz(axis=1).tolist() == [1, *[0] * (num_rows - 1)]
    with pytest.raises(DatasetError, match="line 5: expected 5 lines of predictions, one a test document, found 4"):
        read_predictions(path, 5, 3)
    path.write_text("")
    assert read_predictions(path, 0, 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"0:1 3:1\n2:x\n", "line 1: expected label:score with a label id below 3, found '3:1'"),
        (b"-1:1\n\n", "line 1: expected label:score with a label id below 3, found '-1:1'"),
        (b"a\n\n", "line 1: expected label:score with a label id below 3, found 'a'"),
        (b"0:1\n1:x\n", "line 2: expected label:score with a finite score, found '1:x'"),
        (b"0:1\n1\n", "line 2: expected label:score with a finite score, found '1'"),
        (b"0:1\n1:nan\n", "line 2: expected label:score with a finite score, found '1:nan'"),
        (b"0:1\n1:1_0\n", "line 2: expected label:score with a finite score, found '1:1_0'"),
        (b"0:1\n1:1 2:1,1:2\n", "line 2: expected each label once, found 1 again in '1:2'"),
        (b"0:1\n\xff\n", "line 2: expected UTF-8 text, found byte 0xff at column 1"),
        (b"2 4\n0:1\n1:1\n", "line 1: expected 2 3, the test documents and labels of the dataset, found '2 4'"),
        (b"0:1\n", "line 2: expected 2 lines of predictions, one a test document, found 1"),
        (b"2 3\n0:1\n1:1\n2:1\n", "line 4: expected 2 lines of predictions, one a test document, found 3"),
    ],
)
def test_malformed_text_names_line_expected_and_found(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as error:
        read_predictions(path, 2, 3)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)


def test_all_problems_are_counted_and_ten_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "theirs.txt"
    path.write_text("7:1 8:1\n" * 6)
    with pytest.raises(DatasetError, match=r"12 problems\n(line .*\n){10}\(2 more\)"):
        read_predictions(path, 6, 3)
    broken = sp.csr_matrix(np.full((4, 3), np.inf))
    sp.save_npz(tmp_path / "theirs.npz", broken)
    with pytest.raises(DatasetError, match=r"12 problems\n(row .*\n){10}\(2 more\)"):
        read_predictions(tmp_path / "theirs.npz", 4, 3)


def stored(matrix: sp.spmatrix, **changed: object) -> sp.spmatrix:
    for name, value in changed.items():
        setattr(matrix, name, value)
    return matrix


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (
            sp.csr_matrix((3, 3)),
            "expected: 2 rows, one a test document, and 3 columns, one a label\nfound: 3 rows and 3",
        ),
        (sp.csr_matrix((2, 4)), "found: 2 rows and 4 columns"),
        (sp.csr_matrix([[1, 0, 0], [0, np.nan, 0]]), "row 2: expected a finite score, found nan of label 1"),
        (sp.coo_matrix(([1.0, 2.0], ([1, 1], [2, 2])), (2, 3)), "row 2: expected each label once, found 2 again"),
        (sp.csr_matrix(np.ones((2, 3), complex)), "found: data of complex128"),
        (sp.bsr_matrix(np.ones((2, 3))), "found: format 'bsr'"),
        (stored(sp.csr_matrix(np.eye(2, 3)), indices=np.array([0, 9], np.int32)), "no sparse matrix"),
    ],
)
def test_malformed_matrix_names_row_expected_and_found(matrix: sp.spmatrix, said: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    sp.save_npz(path, matrix)
    with pytest.raises(DatasetError) as error:
        read_predictions(path, 2, 3)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)


def test_what_is_no_matrix_is_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    np.save(path.open("wb"), np.ones((2, 3)))
    array = path.read_bytes()
    np.savez(path, data=np.array([{"a": 1}], dtype=object), format="csr", shape=(2, 3), allow_pickle=True)
    pickled = path.read_bytes()
    for content in (array, pickled, b"", b"PK nonsense", b"0:1\n1:1\n"):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"theirs.npz: no sparse matrix"):
            read_predictions(path, 2, 3)
    with pytest.raises(DatasetError, match="no predictions at"):
        read_predictions(tmp_path / "none.txt", 2, 3)


def test_dataset_without_test_documents_is_refused(tmp_path: Path) -> None:
    path = as_text(tmp_path / "theirs", SCORES, 6)
    for Y_test in (None, sp.csr_matrix((0, 6))):
        with pytest.raises(DatasetError, match="expected: training and test documents\nfound: 100 and 0"):
            measure_predictions(path, dataset(golden_training_labels(), Y_test), METRICS)


@every_format
def test_command_prints_a_table_figures_or_json(write: Write, folder: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--predictions", str(write(tmp_path / "theirs", SCORES, 6)), "--truth", str(folder)]
    found = json.loads(invoke(app, [*words, "--json"]).stdout)
    assert found["dataset"] == "golden"
    kept = {f"{name}@{k}" for name in METRIC_NAMES for k in (1, 3, 5)}
    rounded = {name: round(value, 4) for name, value in found["metrics"].items()}
    assert rounded == {name: value for name, value in EXPECTED.items() if name in kept}
    assert invoke(app, [*words, "-m", "psp@2", "-m", "P@9"]).stdout == "PSP@2 60.99\nP@9 19.44\n"
    assert "│ PSnDCG  │ 34.20 │ 50.26 │ 55.06 │" in invoke(app, words).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["golden", Path(words[2]).name])


def test_command_finds_the_truth_by_name_and_applies_its_filter(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder = folder.rename(tmp_path / "data" / "golden")
    path = as_text(tmp_path / "theirs", SCORES, 6)
    words = ["evaluate", "--predictions", str(path), "--truth", "golden", "--root", str(tmp_path), "-m", "P@1"]
    assert invoke(app, words).stdout == "P@1 50.00\n"
    (folder / "filter_labels_test.txt").write_text("1 2\n")
    assert invoke(app, words).stdout == "P@1 75.00\n"


def test_options_that_make_no_sense_together_are_named(folder: Path, tmp_path: Path) -> None:
    both = ["--predictions", str(as_text(tmp_path / "theirs", SCORES, 6)), "--truth", str(folder)]
    for words, said in (
        (both[:2], "--predictions without --truth"),
        (both[2:], "--truth without --predictions"),
        ([*both, "--cycle", "1", "-d", "demo", "--set", "a.b=1"], "--dataset, --set, --cycle beside --predictions"),
        ([*both, "--max-documents", "5", "--device", "cpu"], "--device, --max-documents beside --predictions"),
        ([*both, "-m", "foo@1"], "unknown metric 'foo@1'"),
    ):
        result = invoke(app, ["evaluate", *words])
        assert result.exit_code
        assert said in str(result.exception)
    assert invoke(app, ["evaluate", "--predictions", str(tmp_path / "none"), *both[2:]]).exit_code == 2
    result = invoke(app, ["evaluate", *both, "--text-column", "a", "-m", "P@1"])
    assert "warning: --text-column has no effect: golden is no table but pecos" in result.stderr


def test_command_needs_no_torch(folder: Path, tmp_path: Path) -> None:
    path = as_text(tmp_path / "theirs", SCORES, 6)
    code = (
        "import sys; from typer.testing import CliRunner; from xmlcli.cli import app\n"
        f"CliRunner().invoke(app, ['evaluate', '--predictions', {str(path)!r}, '--truth', {str(folder)!r}])\n"
        "assert 'xmlcli.datasets.predictions' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
