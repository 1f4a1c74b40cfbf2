"""`xmlcli embed-labels`."""

from __future__ import annotations

from typing import Annotated

import typer

from xmlcli.cli.options import Options, with_options
from xmlcli.cli.stage import run_stage


@with_options
def embed_labels_cli(options: Options, cycle: Annotated[int, typer.Option(min=1, help="Which cycle.")]) -> None:
    """Phase 1: train the label embeddings of a cycle.

    A label's place is the mean of its documents as the last cycle's encoder sees them, sent through a learned map.

    Example: xmlcli embed-labels --dataset demo --cycle 1
    """
    run_stage(options, "embed-labels", cycle)
