"""Tables in three formats, whose cells come from data."""

from __future__ import annotations

import csv

from xmlcli.comparison.tables import Table

TABLE = Table("a & b", ["label", "P@1"], [["x|y_z", "1.5"], ['50 % of "c" <d>', "2"]])


def test_markdown_escapes_what_would_end_a_cell() -> None:
    assert TABLE.markdown().split("\n") == [
        "**a & b**", "", "| label | P@1 |", "| --- | ---: |", "| x\\|y_z | 1.5 |", '| 50 % of "c" &lt;d> | 2 |',
    ]  # fmt: skip


def test_latex_escapes_its_own_signs() -> None:
    lines = TABLE.latex().split("\n")
    assert lines[0] == r"\begin{tabular}{lr}"
    assert lines[4:6] == [r"x|y\_z & 1.5 \\", r'50 \% of "c" <d> & 2 \\']
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular} % a & b"]


def test_csv_reads_back() -> None:
    assert list(csv.reader(TABLE.csv().split("\n"))) == [list(TABLE.head), *TABLE.rows]
