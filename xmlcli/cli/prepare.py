"""`xmlcli prepare`."""

from __future__ import annotations

from dataclasses import replace

from xmlcli.cli.options import Options, with_options
from xmlcli.cli.stage import run_stage


@with_options
def prepare_cli(options: Options) -> None:
    """Make features, labels and a validation split of a raw dataset.

    The test documents are put aside; only evaluate reads them. Later stages read nothing but what this one wrote.

    Example: xmlcli prepare --dataset demo
    """
    run_stage(replace(options, device="cpu"), "prepare")
