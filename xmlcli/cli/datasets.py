"""`xmlcli datasets`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmlcli.cli.say import say
from xmlcli.machine.terminal import shown

if TYPE_CHECKING:
    from xmlcli.datasets.find import DatasetFolder

_COUNTS = ("features", "labels", "training documents", "test documents")
_NUMBERS = range(2, 8)


def datasets_cli(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    root: Annotated[Path, typer.Option(help="Also look in data/ of this folder.")] = Path(),
) -> None:
    """List the published collections and the datasets on this machine.

    Counts are the published ones; A and B are the constants of the inverse propensities.

    Example: xmlcli datasets
    """
    rows = _rows(root)
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=1).replace("\x7f", "\\u007f"))
    else:
        _print(rows)


def _rows(root: Path) -> list[dict[str, Any]]:
    """One dictionary a dataset: those published, then others found here. The layout is that of the files here, where
    there are any, otherwise the published one."""
    from xmlcli.datasets.find import data_folders, subfolders
    from xmlcli.datasets.formats.layouts import DEMO
    from xmlcli.datasets.published.catalogue import DEFAULT_PROPENSITY, KNOWN_DATASETS, find_known
    from xmlcli.datasets.synthetic.demo_world import DemoParameters

    present = {path: _opened(path) for folder in data_folders(root) for path in subfolders(folder)}
    rows = []
    for known in KNOWN_DATASETS:
        here = next((path for path, found in present.items() if found and found.known is known), None)
        counts = {name.replace(" ", "_"): known.counted().get(name) for name in _COUNTS}
        found = present[here] if here else None
        layout = found.layout if found else known.layout
        rows.append(_row(known.name, known.short_names, counts, known.propensity, layout, here))
        rows[-1]["fetch"] = list(known.addresses)
    none = {name.replace(" ", "_"): None for name in _COUNTS}
    demo = DemoParameters()
    demo_counts = dict(none, labels=demo.num_labels, training_documents=demo.num_train, test_documents=demo.num_test)
    rows.append(_row(DEMO, (), demo_counts, DEFAULT_PROPENSITY, DEMO, "made by the program"))
    for path, other in present.items():
        if other is None or find_known(path.name) is None:
            rows.append(_row(path.name, (), none, DEFAULT_PROPENSITY, other.layout if other else None, path))
    return rows


def _row(
    name: str,
    short_names: tuple[str, ...],
    counts: Mapping[str, int | None],
    propensity: tuple[float, float],
    layout: str | None,
    here: Path | str | None,
) -> dict[str, Any]:
    a, b = propensity
    return {
        "name": name,
        "short_names": list(short_names),
        **counts,
        "propensity_a": a,
        "propensity_b": b,
        "layout": layout,
        "here": None if here is None else str(here),
        "fetch": [],
    }


def _opened(path: Path) -> DatasetFolder | None:
    """The dataset of a folder, None where it has no known layout."""
    from xmlcli.datasets.find import open_folder
    from xmlcli.errors import DatasetError

    try:
        return open_folder(path)
    except DatasetError:
        return None


def _print(rows: list[dict[str, Any]]) -> None:
    """Print one line a dataset, as wide as it needs to be."""
    lines: list[tuple[str, ...]] = [
        ("name", "short", "features", "labels", "train", "test", "A", "B", "layout", "here")
    ]
    for row in rows:
        counts = [row[name.replace(" ", "_")] for name in _COUNTS]
        lines.append(
            (
                shown(row["name"]),
                " ".join(row["short_names"]),
                *("" if count is None else f"{count:,}" for count in counts),
                f"{row['propensity_a']:g}",
                f"{row['propensity_b']:g}",
                row["layout"] or "none known",
                shown(row["here"] or "") or ("" if row["fetch"] else "no address known"),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        aligned = [
            cell.rjust(width) if place in _NUMBERS else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        say("  ".join(aligned).rstrip())
