"""`xmlcli convert`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmlcli.cli.say import say

if TYPE_CHECKING:
    from xmlcli.datasets.formats.problems import TableColumns


def convert_cli(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A dataset's name, its folder, or a table.")],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; new or empty.")],
    to: Annotated[str, typer.Option("--to", metavar="lf|pecos", help="The layout to write.")],
    root: Annotated[Path, typer.Option(help="Names are looked up in data/ of this folder.")] = Path(),
    text_column: Annotated[str, typer.Option(metavar="NAME", help="Of a table: the text. Several: A,B.")] = "text",
    labels_column: Annotated[str, typer.Option(metavar="NAME", help="Of a table: the labels.")] = "labels",
    label_separator: Annotated[str, typer.Option(metavar="TEXT", help="What separates labels there.")] = ";",
) -> None:
    """Write a dataset in the layout of the repository's LF collections, or in that of PECOS.

    Example: xmlcli convert tickets.csv data/tickets --to lf
    """
    from xmlcli.datasets.formats.problems import TableColumns

    convert(source, target, to, root, TableColumns(text_column, labels_column, label_separator))


def convert(source: str, target: Path, layout: str, root: Path, columns: TableColumns) -> None:
    """Read a dataset whole, write it, and say what was written."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.convert import check_target, write_dataset
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.datasets.load import read_dataset
    from xmlcli.errors import UsageError

    check_target(target, layout)
    if not columns.separator:
        raise UsageError("--label-separator is empty", expected="at least one character")
    started = time.monotonic()
    is_file = Path(source).is_file()
    folder = locate(str(Path(source).resolve()) if is_file else source, data_folders(root))
    with display() as shown:
        dataset = read_dataset(folder, columns=columns, progress=shown.progress)
        written = write_dataset(dataset, target, layout, progress=shown.progress)
    rows = dataset.train.Y.shape[0], dataset.test.Y.shape[0] if dataset.test else 0
    say(
        f"{folder.name} ({folder.layout}): {rows[0]:,} training and {rows[1]:,} test documents, "
        f"{dataset.train.Y.shape[1]:,} labels, {time.monotonic() - started:.1f} s"
    )
    for path in written:
        say(f"{path}  {path.stat().st_size:,} bytes")
