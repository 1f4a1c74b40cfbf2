"""Draw docs/images/accuracy.svg from the tables of accuracy.md: P@1 and PSP@5 of xmlcli and of the other programs.

    python benchmarks/accuracy_chart.py

A table counts when it stands first below a heading that COLLECTIONS names. Plain SVG text, no package needed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

TABLES = Path(__file__).with_name("accuracy.md")
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "accuracy.svg"
METRICS = {"P@1": "P@1: the first label is right", "PSP@5": "PSP@5: five labels, rare ones count more"}


class Collection(NamedTuple):
    """A collection: its heading in accuracy.md, the digits without commas, and the two lines below its columns."""

    heading: str
    name: str
    size: str


class Program(NamedTuple):
    """A program: the start of its rows' first cell in accuracy.md, and its name in the legend."""

    row: str
    name: str


COLLECTIONS = [
    Collection("bibtex", "bibtex", "159 labels"),
    Collection("delicious", "delicious", "983 labels"),
    Collection("gutenberg-lcsh", "gutenberg-lcsh", "31,583 labels"),
    Collection("yso-finna-en, first 60000", "yso-finna-en", "60,000 titles"),
    Collection("yso-finna-en, all 541277", "yso-finna-en", "541,277 titles"),
]
PROGRAMS = [
    Program("xmlcli, default", "xmlcli"),
    Program("Omikuji Bonsai", "Omikuji Bonsai"),
    Program("Omikuji Parabel", "Omikuji Parabel"),
    Program("PECOS XR-Linear", "PECOS XR-Linear"),
    Program("napkinXC", "napkinXC"),
    Program("LibMultiLabel one-vs-rest", "one-vs-rest (LibMultiLabel)"),
]
LIGHT = ["#d1480b", "#274c77", "#5b8db8", "#3f9a8a", "#a3b18a", "#b9bdc4"]  # one a program
DARK = ["#ff8a4c", "#8fb8e8", "#5b8db8", "#4fb3a1", "#8a9a70", "#6b7280"]

Figures = dict[str, float]  # metric, such as "P@1" -> percent


def read_figures(markdown: str) -> dict[str, dict[str, Figures]]:
    """Return collection heading -> program row -> figures, of the chart's collections and programs."""
    sections = {_plain(part.partition("\n")[0]): part for part in re.split(r"^## +", markdown, flags=re.MULTILINE)[1:]}
    figures = {}
    for heading, *_ in COLLECTIONS:
        header, *rows = _first_table(sections[heading])
        figures[heading] = {
            program.row: _row_figures(header, row)
            for program in PROGRAMS for row in rows if row[0].startswith(program.row)
        }  # fmt: skip
    return figures


def _plain(heading: str) -> str:
    return re.sub(r"(?<=\d),(?=\d)", "", heading.strip())


def _first_table(section: str) -> list[list[str]]:
    """Return the cells of a section's first table, its header first, without the line below the header."""
    table = re.search(r"(?:^\|.*\n?)+", section, re.MULTILINE)
    assert table is not None, f"no table below {section.splitlines()[0]!r}"
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()]
    return [lines[0], *lines[2:]]


def _row_figures(header: list[str], row: list[str]) -> Figures:
    """Return the metrics of a row; a column `P@1 / 3 / 5` holds three."""
    figures = {}
    for title, cell in zip(header, row, strict=True):
        if match := re.fullmatch(r"(PSP|P)@([\d /]+)", title):
            figures |= {
                f"{match[1]}@{k.strip()}": float(value)
                for k, value in zip(match[2].split("/"), cell.split("/"), strict=True)
            }
    return figures


@dataclass(frozen=True)
class Layout:
    """Sizes in pixels: of the picture, of a panel's plot, of a column and of the space between collections."""

    width: int = 920
    height: int = 334
    panel: int = 460
    left: int = 36
    top: int = 88
    plot_width: int = 412
    plot_height: int = 170
    column: float = 10.5


def draw(figures: dict[str, dict[str, Figures]]) -> str:
    """Return the picture as SVG text."""
    layout = Layout()
    top = max(row[metric] for rows in figures.values() for row in rows.values() for metric in METRICS)
    highest = 20 * math.ceil(top / 20)
    panels = "\n".join(_panel(figures, metric, i, highest, layout) for i, metric in enumerate(METRICS))
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {layout.width} {layout.height}" role="img" '
        f'width="{layout.width}" height="{layout.height}" aria-labelledby="title description">',
        '<title id="title">Accuracy of xmlcli and of five other programs</title>',
        f'<desc id="description">{escape(_description(figures))}</desc>',
        f"<style>{_style()}</style>",
        f'<rect class="paper" width="{layout.width}" height="{layout.height}" rx="6"/>',
        _legend(layout),
        panels,
        f'<text class="note" x="{layout.left}" y="{layout.height - 12}">{escape(_note(figures))}</text>',
        "</svg>",
        "",
    ])  # fmt: skip


def _style() -> str:
    def colours(paper: str, ink: str, soft: str, line: str, columns: list[str]) -> str:
        rules = [
            f".paper{{fill:{paper}}}", f"text{{fill:{ink}}}", f".soft,.note{{fill:{soft}}}", f".grid{{stroke:{line}}}",
            f".best{{fill:{columns[0]}}}", *(f".p{i}{{fill:{colour}}}" for i, colour in enumerate(columns)),
        ]  # fmt: skip
        return "".join(rules)

    fonts = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,'DejaVu Sans',sans-serif"
    return (
        f"text{{font:12px {fonts}}}.head{{font-weight:600;font-size:13.5px}}.note{{font-size:11px}}"
        ".soft,.name{font-size:11px}.best{font-weight:700;font-size:11.5px}.middle{text-anchor:middle}.end{text-anchor:end}"
        + colours("#ffffff", "#1f2328", "#59636e", "#e3e6ea", LIGHT)
        + f"@media (prefers-color-scheme:dark){{{colours('#161b22', '#e6edf3', '#9198a1', '#30363d', DARK)}}}"
    )


def _legend(layout: Layout) -> str:
    x, parts = float(layout.left), []
    for i, program in enumerate(PROGRAMS):
        weight = ' style="font-weight:700"' if i == 0 else ""
        parts.append(f'<rect class="p{i}" x="{x:.1f}" y="19" width="11" height="11" rx="2"/>')
        parts.append(f'<text x="{x + 16:.1f}" y="29"{weight}>{escape(program.name)}</text>')
        x += 16 + 6.9 * len(program.name) + 20
    return "\n".join(parts)


def _panel(figures: dict[str, dict[str, Figures]], metric: str, number: int, highest: int, layout: Layout) -> str:
    left, bottom = number * layout.panel + layout.left, layout.top + layout.plot_height
    scale = layout.plot_height / highest
    parts = [f'<text class="head" x="{left}" y="{layout.top - 26}">{escape(METRICS[metric])}</text>']
    for percent in range(0, highest + 1, 20):
        y = bottom - percent * scale
        parts.append(f'<line class="grid" x1="{left}" x2="{left + layout.plot_width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="soft end" x="{left - 6}" y="{y + 4:.1f}">{percent}</text>')
    step = layout.plot_width / len(COLLECTIONS)
    for i, collection in enumerate(COLLECTIONS):
        middle = left + (i + 0.5) * step
        parts += _columns(figures[collection.heading], metric, middle, bottom, scale, layout.column)
        parts.append(f'<text class="name middle" x="{middle:.1f}" y="{bottom + 17}">{escape(collection.name)}</text>')
        parts.append(f'<text class="soft middle" x="{middle:.1f}" y="{bottom + 32}">{escape(collection.size)}</text>')
    return "\n".join(parts)


def _columns(
    rows: dict[str, Figures], metric: str, middle: float, bottom: float, scale: float, width: float
) -> list[str]:
    """Return the columns of one collection, ours with its figure above."""
    left, parts = middle - width * len(PROGRAMS) / 2, []
    for i, program in enumerate(PROGRAMS):
        if program.row not in rows:
            continue
        percent = rows[program.row][metric]
        x, y = left + i * width, bottom - percent * scale
        parts.append(
            f'<rect class="p{i}" x="{x:.1f}" y="{y:.1f}" width="{width - 1.5:.1f}" height="{percent * scale:.1f}">'
            f"<title>{escape(program.name)}: {percent:.2f}</title></rect>"
        )
        if i == 0:
            parts.append(f'<text class="best middle" x="{x + width / 2:.1f}" y="{y - 5:.1f}">{percent:.1f}</text>')
    return parts


def _note(figures: dict[str, dict[str, Figures]]) -> str:
    missing = [
        f"Not run: {program.name} on {collection.name}, {collection.size}."
        for collection in COLLECTIONS for program in PROGRAMS if program.row not in figures[collection.heading]
    ]  # fmt: skip
    return " ".join(["Percent on test documents; higher is better.", *missing])


def _description(figures: dict[str, dict[str, Figures]]) -> str:
    """Say what the columns say, for who does not see them."""
    return " ".join(
        f"{metric} on {collection.name}, {collection.size}: "
        + ", ".join(
            f"{program.name} {figures[collection.heading][program.row][metric]:.2f}"
            for program in PROGRAMS if program.row in figures[collection.heading]
        ) + "."
        for metric in METRICS for collection in COLLECTIONS
    )  # fmt: skip


def main() -> None:
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(read_figures(TABLES.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
