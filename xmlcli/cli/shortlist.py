"""`xmlcli shortlist`."""

from __future__ import annotations

from typing import Annotated

import typer

from xmlcli.cli.options import Options, with_options
from xmlcli.cli.stage import run_stage


@with_options
def shortlist_cli(options: Options, cycle: Annotated[int, typer.Option(min=1, help="Which cycle.")]) -> None:
    """Phase 2: find the nearest labels of every training document.

    The wrong ones among them are what phase 3 learns to tell from the right ones.

    Example: xmlcli shortlist --dataset demo --cycle 1
    """
    run_stage(options, "shortlist", cycle)
