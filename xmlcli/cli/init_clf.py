"""`xmlcli init-clf`."""

from __future__ import annotations

from xmlcli.cli.options import Options, with_options
from xmlcli.cli.stage import run_stage


@with_options
def init_clf_cli(options: Options) -> None:
    """Make the untrained encoder and classifiers, the model of cycle 0.

    The first cycle starts from them as every later one starts from its predecessor.

    Example: xmlcli init-clf --dataset demo
    """
    run_stage(options, "init-clf")
