"""`xmlcli train-clf`."""

from __future__ import annotations

from typing import Annotated

import typer

from xmlcli.cli.options import Options, with_options
from xmlcli.cli.stage import run_stage


@with_options
def train_clf_cli(options: Options, cycle: Annotated[int, typer.Option(min=1, help="Which cycle.")]) -> None:
    """Phase 3: train encoder and classifiers on the shortlists of a cycle.

    Goes on from its last checkpoint when it was stopped before.

    Example: xmlcli train-clf --dataset demo --cycle 1
    """
    run_stage(options, "train-clf", cycle)
