"""`xmlcli export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmlcli.cli.options import Options, with_options
from xmlcli.cli.say import say


@with_options("device", "seed", "max_documents", "text_column", "labels_column", "label_separator")
def export_cli(
    options: Options,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; new, or an older model.")],
    cycle: Annotated[int | None, typer.Option(min=1, help="Which cycle. Default: the last one.")] = None,
) -> None:
    """Write a trained model into a folder of its own: all that prediction needs, quantised, with a card.

    Without --dataset it is the model trained last. The folder appears whole or not at all. xmlcli predict --model and
    xmlcli.load read it on any machine, without the training data.

    Example: xmlcli export --dataset demo models/demo
    """
    export(options, target, cycle)


def export(options: Options, target: Path, cycle: int | None) -> None:
    """Write the model and say how large it is."""
    from xmlcli.cli.predict import open_trained
    from xmlcli.serving import model_folder

    model_folder.check_target(target)
    contents = open_trained(options, lambda trained: trained.contents(), cycle)
    model_folder.write(target, contents)
    size = sum(path.stat().st_size for path in target.iterdir())
    say(f"{target}: {size / 2**20:.1f} MiB")
