"""`xmlcli generate`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmlcli.cli.say import say

if TYPE_CHECKING:
    from xmlcli.datasets.synthetic.generate import Parameters

NOTE = "generated.json"
_TEST_SHARE, _MOST_TEST = 10, 10_000


def generate_cli(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; new or empty.")],
    labels: Annotated[int, typer.Option(min=1, help="How many labels.")] = 10_000,
    documents: Annotated[int | None, typer.Option(min=1, help="Training documents. Default: as labels.")] = None,
    test: Annotated[int | None, typer.Option(min=1, help="Default: a tenth of those, at most 10,000.")] = None,
    words: Annotated[float, typer.Option(min=1, help="Median words a document: 10 as in titles, 100 abstracts.")] = 20,
    text: Annotated[bool, typer.Option("--text", help="Write texts with named labels; slower to read.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 1,
) -> None:
    """Write a synthetic collection of any size, to see what a size costs; no document in it is real.

    Label frequencies and words follow Zipf's law, most labels have one to three documents, and each label has a few
    characteristic words that it shares with others. The same options give the same bytes. Without --text the folder
    holds matrices in the layout of PECOS, with it the repository's raw text.

    Example: xmlcli generate --labels 100000 data/large
    """
    from xmlcli.datasets.synthetic.generate import Parameters

    documents = labels if documents is None else documents
    test = max(1, min(documents // _TEST_SHARE, _MOST_TEST)) if test is None else test
    generate(target, Parameters(labels, documents, test, words, seed), as_text=text)


def generate(target: Path, parameters: Parameters, *, as_text: bool) -> None:
    """Draw a collection, write it, and say what was written."""
    from xmlcli.cli.display import display
    from xmlcli.datasets.convert import LF, PECOS, check_target, write_dataset
    from xmlcli.datasets.synthetic import generate as generator
    from xmlcli.storage import files

    layout = LF if as_text else PECOS
    check_target(target, layout)
    started = time.monotonic()
    with display() as shown:
        dataset = generator.generate(parameters, as_text=as_text, progress=shown.progress)
        note = generator.describe(dataset, parameters)
        write_dataset(dataset, target, layout, extra={NOTE: files.json_bytes(note)}, progress=shown.progress)
    say(
        f"{target}: {note['training_documents']:,} training and {note['test_documents']:,} test documents, "
        f"{note['labels']:,} labels, {note['words']:,} words, {time.monotonic() - started:.1f} s"
    )
