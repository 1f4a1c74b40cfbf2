"""The figures and tables of a model's card."""

from __future__ import annotations

from xmlcli.serving.card import _figures, _table


def test_figures_of_test_and_of_validation_documents_have_rows_of_their_own() -> None:
    metrics = {"P@1": 10.0, "P@5": 7.125, "R@5": 30.0, "validation": {"P@1": 20.0}, "oracle": {"P@1": 90.0}}
    about = "Test documents had no part in training; by validation documents the scores' weights were chosen."
    assert _figures(metrics) == [
        about,
        "",
        "| | @1 | @5 |",
        "|---|---|---|",
        "| test P | 10.00 | 7.12 |",
        "| test R |  | 30.00 |",
        "| validation P | 20.00 |  |",
    ]
    assert _figures({"validation": {}}) == ["None was measured: there were no documents kept for it."]


def test_cells_of_a_table_stay_cells() -> None:
    assert _table(("a", "b"), {"z": 1234567, "x|y": "two\nlines"}) == [
        "| a | b |",
        "|---|---|",
        "| x\\|y | two lines |",
        "| z | 1,234,567 |",
    ]
