"""The picture of README is what its script draws from the measured tables."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from types import ModuleType

import pytest
from support.paths import PROJECT

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def chart(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    import accuracy_chart  # type: ignore[import-not-found]

    return accuracy_chart


def test_the_picture_is_what_the_tables_say(chart: ModuleType) -> None:
    figures = chart.read_figures(chart.TABLES.read_text(encoding="utf-8"))
    drawn = chart.draw(figures)
    assert chart.PICTURE.read_text(encoding="utf-8") == drawn, "run: make chart"


def test_columns_are_as_high_as_the_figures(chart: ModuleType) -> None:
    figures = chart.read_figures(chart.TABLES.read_text(encoding="utf-8"))
    columns = [
        (float(rect.attrib["height"]), float(title.text.rpartition(" ")[2]))
        for rect in ET.fromstring(chart.draw(figures)).iter(f"{SVG}rect")
        if (title := rect.find(f"{SVG}title")) is not None and title.text
    ]
    measured = [rows[program]["P@1"] for rows in figures.values() for program in rows]
    assert len(columns) == 2 * len(measured)
    assert sorted(percent for _, percent in columns[: len(measured)]) == sorted(measured)
    scale = columns[0][0] / columns[0][1]
    assert all(abs(height - scale * percent) < 0.06 for height, percent in columns)


def test_figures_are_read_from_columns_of_three_and_of_one(chart: ModuleType) -> None:
    section = "| | runs | P@1 / 3 / 5 | PSP@5 |\n|---|---|---|---|\n| xmlcli, default | 3 | 1.5 / 2.5 / 3.5 | 4.5 |\n"
    text = "# Page\n" + "".join(f"\n## {collection.heading}\n\nWords.\n\n{section}" for collection in chart.COLLECTIONS)
    figures = chart.read_figures(text)
    assert figures["bibtex"] == {"xmlcli, default": {"P@1": 1.5, "P@3": 2.5, "P@5": 3.5, "PSP@5": 4.5}}
    assert len(re.findall("Not run", chart.draw(figures))) == 5 * 5
