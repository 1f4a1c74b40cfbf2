"""The metrics against a worked example, a naive oracle and identities."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmlcli.datasets.predictions import top_k
from xmlcli.errors import UsageError
from xmlcli.machine import threads
from xmlcli.metrics import (
    METRIC_NAMES,
    Metric,
    drop_filtered,
    evaluate_top_k,
    f1_scores,
    hit_matrix,
    inverse_propensity,
    parse_metric,
    parse_metrics,
)

GOLDEN = {
    "P": (50.0, 50.0, 33.3333, 31.25, 30.0),
    "nDCG": (50.0, 56.1019, 50.2359, 51.2222, 51.8624),
    "PSP": (34.2012, 60.9919, 52.3631, 59.5765, 64.6140),
    "PSnDCG": (34.2012, 54.5848, 50.2603, 53.3144, 55.0634),
    "R": (17.5, 47.5, 47.5, 52.5, 57.5),
}
GOLDEN_WEIGHTS = (1.6828, 2.1040, 2.5574, 3.1315, 3.9961, 4.6052)

Rows = list[dict[int, float]]


def csr(rows: Rows, num_labels: int) -> sp.csr_matrix:
    """CSR of rows given as {column: value}, stored zeros kept."""
    data = [value for row in rows for value in row.values()]
    indices = [column for row in rows for column in row]
    indptr = np.cumsum([0, *map(len, rows)])
    matrix = sp.csr_matrix((np.array(data, np.float32), np.array(indices, np.int32), indptr), (len(rows), num_labels))
    matrix.sort_indices()
    return matrix


def truth_matrix(truth: list[set[int]], num_labels: int) -> sp.csr_matrix:
    return csr([dict.fromkeys(sorted(labels), 1.0) for labels in truth], num_labels)


def golden_training_labels() -> sp.csr_matrix:
    """100 training rows with label frequencies 50, 20, 10, 5, 2, 1."""
    frequency = (50, 20, 10, 5, 2, 1)
    rows = np.concatenate([np.arange(count) for count in frequency])
    columns = np.repeat(np.arange(6), frequency)
    return sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(100, 6))


def naive_top_k(scores: Rows, num_labels: int, k: int) -> list[list[int]]:
    ranked = [sorted(row, key=lambda label, row=row: (-row[label], label))[:k] for row in scores]  # type: ignore[misc]
    return [labels + [num_labels] * (k - len(labels)) for labels in ranked]


def naive_metric(metric: Metric, top: list[list[int]], truth: list[set[int]], weights: list[float]) -> float:
    """The definitions, one row and one rank at a time, as a fraction."""
    k = metric.k
    weighted = metric.name.startswith("PS")

    def gains(labels: list[int], true: set[int]) -> list[float]:
        return [(weights[label] if weighted else 1.0) if label in true else 0.0 for label in labels[:k]]

    def row_value(labels: list[int], true: set[int]) -> float:
        found = gains(labels, true)
        if metric.name in ("P", "PSP"):
            return sum(found) / k
        if metric.name == "R":
            return sum(found) / max(len(true), 1)
        best = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(true))))
        return sum(g / math.log2(rank + 2) for rank, g in enumerate(found)) / best if true else 0.0

    got = sum(row_value(labels, true) for labels, true in zip(top, truth, strict=True))
    if not weighted:
        return got / len(truth)
    ideal = [sorted(true, key=lambda label: -weights[label]) for true in truth]
    most = sum(row_value(labels, true) for labels, true in zip(ideal, truth, strict=True))
    return got / most if most else 0.0


def test_golden_case_of_the_field_to_four_decimals() -> None:
    weights = inverse_propensity(golden_training_labels(), 0.55, 1.5)
    np.testing.assert_allclose(weights, GOLDEN_WEIGHTS, atol=5e-5)
    truth = truth_matrix([{0, 3}, {1}, set(), {0, 1, 2, 4, 5}], 6)
    scores = csr(
        [
            {0: 0.9, 1: 0.8, 2: 0.7, 4: 0.1},
            {2: 0.5, 1: 0.4},
            {0: 0.3},
            {0: 0.9, 4: 0.8, 3: 0.7, 2: 0.6, 1: 0.5, 5: 0.4},
        ],
        6,
    )
    metrics = [Metric(name, k) for name in METRIC_NAMES for k in range(1, 6)]
    values = evaluate_top_k(top_k(scores, 5), truth, weights, metrics)
    expected = {f"{name}@{k + 1}": value for name, row in GOLDEN.items() for k, value in enumerate(row)}
    assert {name: round(value, 4) for name, value in values.items()} == expected


rows_of_scores = st.lists(
    st.dictionaries(st.integers(0, 6), st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0]), max_size=7), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(scores=rows_of_scores, data=st.data())
def test_metrics_and_ranking_equal_the_naive_oracle(scores: Rows, data: st.DataObject) -> None:
    num_labels = 7
    truth = data.draw(st.lists(st.sets(st.integers(0, 6)), min_size=len(scores), max_size=len(scores)))
    weights = data.draw(st.lists(st.sampled_from([1.0, 1.5, 2.25, 7.0]), min_size=num_labels, max_size=num_labels))
    k = data.draw(st.integers(1, 9))
    top = top_k(csr(scores, num_labels), k)
    assert top.tolist() == naive_top_k(scores, num_labels, k)
    metrics = [Metric(name, cut) for name in METRIC_NAMES for cut in range(1, k + 1)]
    values = evaluate_top_k(top, truth_matrix(truth, num_labels), np.array(weights), metrics)
    for metric in metrics:
        expected = 100 * naive_metric(metric, top.tolist(), truth, weights)
        assert values[str(metric)] == pytest.approx(expected, abs=1e-9), metric


@pytest.mark.parametrize(("a", "b"), [(0.55, 1.5), (0.6, 2.6), (0.5, 0.4)])
def test_label_seen_once_weighs_ln_n_and_rarer_labels_weigh_more(a: float, b: float) -> None:
    Y = sp.csr_matrix(np.array([[1, 0, 1, 1]] + [[0, 0, 1, 1]] * 9 + [[0, 0, 0, 1]] * 30, np.float32))
    weights = inverse_propensity(Y, a, b)
    assert weights.dtype == np.float32
    assert weights[0] == pytest.approx(math.log(40), rel=1e-6)
    assert weights[1] > weights[0] > weights[2] > weights[3]


def test_first_rank_needs_no_discount_and_perfect_ranking_gets_everything() -> None:
    rng = np.random.default_rng(0)
    Y = sp.csr_matrix((rng.random((40, 30)) < 0.2).astype(np.float32))
    weights = rng.random(30) + 1
    noisy = evaluate_top_k(top_k(sp.csr_matrix(rng.random((40, 30))), 5), Y, weights)
    assert noisy["P@1"] == noisy["nDCG@1"]
    assert noisy["PSP@1"] == noisy["PSnDCG@1"]
    perfect = evaluate_top_k(top_k(Y.multiply(weights).tocsr(), 5), Y, weights)
    assert perfect["PSP@5"] == pytest.approx(100)
    assert perfect["PSnDCG@3"] == pytest.approx(100)
    assert perfect["nDCG@5"] == pytest.approx(100 * (Y.getnnz(axis=1) > 0).mean())


def test_permuted_labels_score_the_same() -> None:
    rng = np.random.default_rng(1)
    Y = sp.csr_matrix((rng.random((50, 20)) < 0.2).astype(np.float32))
    scores = sp.csr_matrix(rng.random((50, 20)))
    weights = rng.random(20) + 1
    order = rng.permutation(20)
    plain = evaluate_top_k(top_k(scores, 5), Y, weights)
    permuted = evaluate_top_k(top_k(scores[:, order], 5), Y[:, order], weights[order])
    assert permuted == pytest.approx(plain)


def test_stored_zeros_are_no_true_labels_but_are_candidates() -> None:
    Y = csr([{0: 0.0, 1: 1.0}], 2)
    top = top_k(csr([{0: 0.0, 1: -1.0}], 2), 3)
    assert top.tolist() == [[0, 1, 2]]
    assert evaluate_top_k(top, Y, np.ones(2), [Metric("P", 1), Metric("R", 2)]) == {"P@1": 0.0, "R@2": 100.0}


def test_stored_zeros_do_not_make_a_label_frequent() -> None:
    Y = golden_training_labels()
    rows: Rows = [dict.fromkeys(range(6), 0.0) for _ in range(100)]
    for row, label in zip(*Y.nonzero(), strict=True):
        rows[row][label] = 1.0
    stored = csr(rows, 6)
    assert stored.nnz > Y.nnz
    np.testing.assert_array_equal(inverse_propensity(stored, 0.55, 1.5), inverse_propensity(Y, 0.55, 1.5))


def test_score_of_minus_infinity_stands_before_padding() -> None:
    assert top_k(csr([{3: -np.inf}, {0: 1.0, 1: 2.0}], 5), 2).tolist() == [[3, 5], [1, 0]]


def test_rows_of_very_different_length_rank_like_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmlcli.datasets.predictions._SORT_CELLS", 64)
    rng = np.random.default_rng(2)
    lengths = rng.permutation([0, 1, 1, 2, 3, 5, 8, 70, 200, 0, 4, 4])
    scores: Rows = [
        {int(label): float(rng.integers(3)) for label in rng.choice(300, length, replace=False)} for length in lengths
    ]
    assert top_k(csr(scores, 300), 6).tolist() == naive_top_k(scores, 300, 6)


def test_filtered_pairs_leave_the_ranking_and_nothing_fills_the_gap() -> None:
    top = np.array([[4, 1, 0], [2, 3, 5], [5, 5, 5]], dtype=np.int32)
    pairs = np.array([[0, 4], [0, 2], [1, 3], [1, 3], [2, 5]], dtype=np.int32)
    kept = drop_filtered(top, pairs, 5)
    assert kept.tolist() == [[1, 0, 5], [2, 5, 5], [5, 5, 5]]
    assert kept.dtype == np.int32
    assert drop_filtered(top, np.empty((0, 2), np.int32), 5).tolist() == top.tolist()


def test_the_labels_that_stay_keep_their_order_in_long_rankings() -> None:
    rng = np.random.default_rng(4)
    top = np.argsort(rng.random((30, 400)), axis=1)[:, :100].astype(np.int32)
    pairs = np.array([[row, label] for row in range(30) for label in rng.choice(400, 150, replace=False)], np.int32)
    gone = {(row, label) for row, label in pairs.tolist()}
    for row, kept in enumerate(drop_filtered(top, pairs, 400).tolist()):
        wanted = [label for label in top[row].tolist() if (row, label) not in gone]
        assert kept == wanted + [400] * (100 - len(wanted))


@pytest.mark.parametrize(
    ("text", "printed"),
    [("psp@5", "PSP@5"), ("NDCG@3", "nDCG@3"), (" PsNdCg@1 ", "PSnDCG@1"), ("r@10", "R@10"), ("p@1", "P@1")],
)
def test_metric_parses_in_any_case_and_prints_as_the_field_spells_it(text: str, printed: str) -> None:
    assert str(parse_metric(text)) == printed


@pytest.mark.parametrize("text", ["", "P", "P@", "P@0", "P@-1", "P@x", "map@5", "@5", "P@1.5", "P@²"])
def test_unknown_metric_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(UsageError, match="PSnDCG"):
        parse_metric(text)


def test_disagreeing_arguments_are_refused() -> None:
    Y = csr([{0: 1.0}], 3)
    top: npt.NDArray[np.int32] = np.array([[0, 1]], dtype=np.int32)
    for bad_top, weights in ((top, np.ones(2)), (top + 3, np.ones(3)), (top * 0, np.ones(3)), (top[:, 0], np.ones(3))):
        with pytest.raises(ValueError, match=r"fit|must lie|twice"):
            evaluate_top_k(bad_top, Y, weights, [Metric("P", 1)])
    with pytest.raises(ValueError, match="k=3"):
        evaluate_top_k(top, Y, np.ones(3), [Metric("P", 3)])
    with pytest.raises(ValueError, match="NaN"):
        top_k(csr([{0: np.nan}], 3), 1)


@pytest.mark.parametrize("count", [1, 3])
def test_hits_are_the_true_labels_of_a_row_and_padding_is_none(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: count)
    rng = np.random.default_rng(3)
    Y = (rng.random((40, 9)) < 0.3).astype(np.float32)
    top = rng.integers(0, 10, (40, 6)).astype(np.int32)  # 9 is padding
    wanted = [[bool(label < 9 and Y[i, label]) for label in row] for i, row in enumerate(top)]
    assert hit_matrix(top, sp.csr_matrix(Y)).tolist() == wanted
    assert hit_matrix(top[:0], sp.csr_matrix((0, 9), dtype=np.float32)).shape == (0, 6)


def test_several_metrics_are_read_from_one_text_and_a_name_alone_stands_for_every_k() -> None:
    assert [str(metric) for metric in parse_metrics(["psp@5,p@1", "ndcg"])] == [
        "PSP@5", "P@1", "nDCG@1", "nDCG@3", "nDCG@5"
    ]  # fmt: skip
    assert [str(metric) for metric in parse_metrics(["f1", "F1@2"], [2])] == ["F1@2"]
    with pytest.raises(UsageError, match="unknown metric 'x@1'"):
        parse_metrics(["p,x"])


def test_f1_of_sets_is_scikit_learns() -> None:
    from sklearn.metrics import f1_score, precision_score, recall_score

    rng = np.random.default_rng(3)
    Y, chosen = rng.random((50, 8)) < 0.3, rng.random((50, 8)) < 0.3
    Y[:, 7] = chosen[:, 7] = False
    found = f1_scores(sp.csr_matrix(chosen), sp.csr_matrix(Y))
    assert found["micro F1"] == pytest.approx(100 * f1_score(Y, chosen, average="micro"))
    assert found["macro F1"] == pytest.approx(100 * f1_score(Y[:, :7], chosen[:, :7], average="macro"))
    assert found["example F1"] == pytest.approx(100 * f1_score(Y, chosen, average="samples", zero_division=1))
    assert found["precision"] == pytest.approx(100 * precision_score(Y, chosen, average="micro"))
    assert found["recall"] == pytest.approx(100 * recall_score(Y, chosen, average="micro"))


def test_f1_at_k_is_that_of_the_first_k_as_a_set() -> None:
    top, Y = np.array([[0, 1], [2, 3]]), sp.csr_matrix(np.array([[1, 0, 1, 1], [0, 0, 0, 0]], np.float32))
    found = evaluate_top_k(top, Y, np.ones(4), parse_metrics(["f1@2"]))
    assert found == {"F1@2": pytest.approx(100 * (2 * 1 / (2 + 3) + 0) / 2)}
