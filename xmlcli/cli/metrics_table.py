"""Print the metrics of an evaluation as a table, with a line above that says what they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from xmlcli.cli.say import say


def _header(about: Mapping[str, Any]) -> str:
    """Return in a line what figures are of."""
    given = "".join(f", --set {key}={json.dumps(value)}" for key, value in about["overrides"].items())
    run = f"dataset {about['dataset']}, profile {about['profile']}{given}, cycle {about['cycle']}"
    return f"run {about['run']} ({run}) on {_documents(about['of'], about['split'])}"


def _documents(of: Mapping[str, Mapping[str, float]], split: str) -> str:
    """Say of which documents figures are, and how many of their labels are new."""
    about = of[split]
    return (
        f"{about['documents']:,} {split} documents; no training document has "
        f"{100 * about['unseen_labels']:.2f} % of their {about['labels']:,} labels"
    )


def print_metrics(
    model: dict[str, float],
    oracle: dict[str, float],
    *,
    head: str = "percent",
    about: Mapping[str, Any] | None = None,
    at: Mapping[str, Any] | None = None,
) -> None:
    """Print a row for each kind of metric and a column for each k, the oracle's rows below the model's.

    `about`: what the figures are of, said above; `at`: what was measured at a threshold, said below.
    """
    from rich.console import Console
    from rich.table import Table

    if about is not None:
        say(_header(about))
    ks = sorted({int(name.partition("@")[2]) for name in model})
    table = Table(head, *(f"@{k}" for k in ks))
    for column in table.columns[1:]:
        column.justify = "right"
    for prefix, values in (("", model), ("oracle ", oracle)):
        for kind in dict.fromkeys(name.partition("@")[0] for name in values):
            cells = [values.get(f"{kind}@{k}") for k in ks]
            table.add_row(prefix + kind, *("" if cell is None else f"{cell:.2f}" for cell in cells))
        table.add_section()
    Console().print(table)
    if at:
        figures = ", ".join(f"{name} {value:.2f}" for name, value in at["at_threshold"].items())
        say(f"at {at['threshold']:g}: {figures}")


def print_calibration(found: Mapping[str, Any]) -> None:
    """Print a row for each bin of probability that holds labels; `found` as `results.read_calibration` returns it."""
    from rich.console import Console
    from rich.table import Table

    table = Table("probability, %", "labels", "predicted", "observed", "difference")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in found["calibration"]:
        predicted, observed = 100 * row["predicted"], 100 * row["observed"]
        shares = f"{predicted:.1f}", f"{observed:.1f}", f"{predicted - observed:+.1f}"
        table.add_row(f"{100 * row['from']:.0f} to {100 * row['to']:.0f}", f"{row['labels']:,}", *shares)
    Console().print(table)
    say(_documents(found["of"], "test"))
    say(f"expected calibration error {found['expected_calibration_error']:.2f} points")
