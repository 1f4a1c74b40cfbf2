"""`xmlcli fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmlcli.cli.say import say, tell

if TYPE_CHECKING:
    from xmlcli.datasets.find import DatasetFolder


def fetch_cli(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A published collection; xmlcli datasets lists them.")],
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL|FILE", help="Get its archive there, not where it is published. Repeats."),
    ] = None,
    root: Annotated[Path, typer.Option(help="Datasets go into data/ of this folder.")] = Path(),
) -> None:
    """Download a published collection, check it against the published counts, and put it into data/.

    Interrupted, the same command goes on where it was. An archive is unpacked safely, and nothing is left behind
    when it is not the collection.

    Example: xmlcli fetch eurlex
    """
    fetch(name, url, root)


def fetch(name: str, addresses: list[str] | None, root: Path) -> None:
    """Fetch a collection unless it is on this machine already."""
    from xmlcli.datasets.find import data_folders, locate
    from xmlcli.errors import AbsentDatasetError

    folders = data_folders(root)
    try:
        here = locate(name, folders)
    except AbsentDatasetError:
        fetch_shown(name, folders[0], addresses)
    else:
        say(f"{here.name} is here already: {here.path or 'the program makes it'}")


def fetch_shown(name: str, data: Path, addresses: list[str] | None) -> DatasetFolder:
    """Fetch a collection that is known, saying what is downloaded and showing how it goes."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.published.catalogue import find_known
    from xmlcli.datasets.published.fetch import fetch as fetch_known

    known = find_known(name)
    assert known is not None
    sources = addresses if addresses is not None else list(known.addresses)
    if sources:
        tell(f"fetching {known.name} ({known.size() or 'size not published'}) from {sources[0].partition('?')[0]}")
    with display() as shown:
        folder = fetch_known(known, data, addresses=addresses, progress=shown.progress)
    checked = f"with the published {known.size()}" if known.counted() else "its counts are not published"
    tell(f"{folder.path}: {folder.layout}, {checked}", "green")
    return folder
