"""`xmlcli doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmlcli.cli.say import say


def doctor_cli(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    root: Annotated[Path, typer.Option(help="Where artifacts would lie.")] = Path(),
) -> None:
    """Say what this machine and this installation have, and what will be slow with it, and why.

    Example: xmlcli doctor
    """
    from xmlcli.machine.doctor import examine

    findings = examine(root)
    if as_json:
        import json

        typer.echo(json.dumps([finding._asdict() for finding in findings], indent=1))
        return
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        say(f"{finding.what:<{width}}  {finding.value}")
        if finding.advice:
            say(f"{'':<{width}}  → {finding.advice}")
