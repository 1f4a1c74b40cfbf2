"""`xmlcli datasets`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmlcli.cli.say import say, tell
from xmlcli.machine.terminal import shown

if TYPE_CHECKING:
    from xmlcli.datasets.find import DatasetFolder

_COUNTS = ("features", "labels", "training documents", "test documents")
_SHORT = {"training documents": "train", "test documents": "test", "labels": "labels", "features": "features"}
_NUMBERS = range(2, 8)


def datasets_cli(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Print all columns, a line a dataset.")] = False,
    root: Annotated[Path, typer.Option(help="Also look in data/ of this folder.")] = Path(),
) -> None:
    """List the datasets on this machine, and the published collections.

    Counts are those of the files here, as far as these tell without being read whole, else the published ones.

    Example: xmlcli datasets
    """
    rows = _rows(root)
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=1).replace("\x7f", "\\u007f"))
    elif wide:
        _print_wide(rows)
    else:
        _print(rows)


def _rows(root: Path) -> list[dict[str, Any]]:
    """One dictionary a dataset: those published, then others found here. The layout is that of the files here, where
    there are any, otherwise the published one."""
    from xmlcli.datasets.counts import count
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
        if found:
            counts |= {name.replace(" ", "_"): n for name, n in count(found).items()}
        rows.append(_row(known.name, known.short_names, counts, known.propensity, layout, here))
        rows[-1]["fetch"] = list(known.addresses)
    none = {name.replace(" ", "_"): None for name in _COUNTS}
    demo = DemoParameters()
    demo_counts = dict(none, labels=demo.num_labels, training_documents=demo.num_train, test_documents=demo.num_test)
    rows.append(_row(DEMO, (), demo_counts, DEFAULT_PROPENSITY, DEMO, "made by the program"))
    for path, other in present.items():
        if other is None or find_known(path.name) is None:
            counts = none | {name.replace(" ", "_"): n for name, n in (count(other) if other else {}).items()}
            rows.append(_row(path.name, (), counts, DEFAULT_PROPENSITY, other.layout if other else None, path))
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
    """Print what is here and then what is published, each a table that fits the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    here, published = [row for row in rows if row["here"]], [row for row in rows if not row["here"]]
    for head, chosen, last in (("here", here, "where"), ("published", published, "also called")):
        if not chosen:
            continue
        table = Table(head, *_SHORT.values(), last, box=None, pad_edge=False, header_style="bold")
        for place in range(1, 1 + len(_SHORT)):
            table.columns[place].justify, table.columns[place].no_wrap = "right", True
        table.columns[0].no_wrap, table.columns[-1].overflow = True, "fold"
        for row in chosen:
            counts = [row[name.replace(" ", "_")] for name in _SHORT]
            where = row["here"] or ", ".join([*row["short_names"], *([] if row["fetch"] else ["no address known"])])
            cells = [shown(row["name"]), *("" if n is None else f"{n:,}" for n in counts), shown(where)]
            table.add_row(*map(Text, cells))
        Console().print(table)
        Console().print()
    tell("train --dataset NAME fetches a published one; --wide shows layouts and the constants of propensities")


def _print_wide(rows: list[dict[str, Any]]) -> None:
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
