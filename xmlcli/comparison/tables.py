"""A table as Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it shows.
        head: of its columns.
        rows: cells, as many as the head has.
        words: how many columns, from the left, hold words; the others hold numbers.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def markdown(self) -> str:
        """Return a Markdown table below its title."""
        rule = ["---"] * self.words + ["---:"] * (len(self.head) - self.words)
        lines = [[_in_markdown(cell) for cell in row] for row in (self.head, *self.rows)]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(row)} |" for row in (lines[0], rule, *lines[1:]))])

    def latex(self) -> str:
        """Return a LaTeX table, whose lines are those of the package booktabs."""
        columns = "l" * self.words + "r" * (len(self.head) - self.words)
        lines = [f"{' & '.join(map(_in_latex, row))} \\\\" for row in (self.head, *self.rows)]
        return "\n".join(
            [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule",
             rf"\end{{tabular}} % {self.title}"]
        )  # fmt: skip

    def csv(self) -> str:
        """Return lines of CSV, without the title."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.head, *self.rows])
        return out.getvalue().removesuffix("\n")


def _in_markdown(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _in_latex(cell: str) -> str:
    return "".join(_LATEX.get(c, c) for c in cell.replace("\n", " "))
