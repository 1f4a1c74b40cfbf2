"""The card of an exported model, in Markdown: what it is for, how to call it, data, figures, limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from xmlcli.metrics import METRIC_NAMES
from xmlcli.prediction.combination import Combination
from xmlcli.serving.contents import ModelContents
from xmlcli.version import __version__


def write_card(contents: ModelContents, size: int) -> str:
    """Return the card of a model whose files have `size` bytes."""
    about, vocabulary = contents.about, contents.frontend.vocabulary
    name = about.get("dataset", "a collection")
    takes = "texts" if vocabulary is not None else f"vectors of {len(contents.tokens.scale):,} features"
    takes_text = vocabulary is not None
    lines = [
        f"# Labels of {name}",
        "",
        f"A model of xmlcli {__version__} that ranks {len(contents.bias):,} labels for documents; it takes {takes}.",
        f"Written on {datetime.now(UTC).date().isoformat()}; {size / 2**20:.1f} MiB.",
        "",
        "## What it is for",
        "",
        f"It proposes labels of {name} for {'texts' if takes_text else 'documents'} like those it was trained on: as a "
        "ranked list for a person to choose from,",
        "or without one where a threshold was chosen on documents that it has not seen.",
        "",
        "## How to call it",
        "",
        *_calls(takes_text),
        "",
        "## Training data",
        "",
        *_table(("", ""), about.get("data", {})),
        "",
        "## Figures, percent",
        "",
        *_figures(about.get("metrics", {})),
        "",
        "## Calibration",
        "",
        f"Scores are {_meaning(contents.combination)}.",
        "",
        "## Limits",
        "",
        *_limits(contents, takes_text=takes_text),
        "",
        "## Settings",
        "",
        *_table(("setting", "value"), about.get("parameters", {})),
        "",
    ]
    return "\n".join(lines)


def _calls(takes_text: bool) -> list[str]:
    """Return examples, on the command line and in Python."""
    given, what = ('--text "..."', '["..."]') if takes_text else ("--input FILE.npz", "X")
    return [
        f"    xmlcli predict --model DIR {given}",
        "",
        "    import xmlcli",
        '    model = xmlcli.load("DIR")',
        f"    model.predict({what}, k=5)" + ("" if takes_text else "  # X: CSR, a row a document"),
    ]


def _limits(contents: ModelContents, *, takes_text: bool) -> list[str]:
    """Return what the model cannot do, and what it holds of its training documents."""
    limits = [
        "- It knows the labels it was trained on and no others; of labels with few training documents it knows little.",
        f"- A label that is not among the {contents.settings.size:,} on a document's shortlist has no score.",
        "- Where new documents differ from the training documents, figures are lower and high probabilities too high.",
    ]
    if takes_text:
        limits.append("- It knows the words of its training texts; a text without such a word gets frequent labels.")
    return [*limits, *_voters(contents)]


def _voters(contents: ModelContents) -> list[str]:
    if contents.voters is None:
        return []
    count = len(contents.voters.scale)
    return [
        f"- For its kNN votes it holds the term weights and labels of {count:,} training documents.",
        "  Trained with `--set evaluate.voters=null` it would hold none.",
    ]


def _meaning(combination: Combination) -> str:
    if combination.kind == "logistic":
        return "probabilities that a label is right, fitted on validation documents"
    return "the authors' sums, from 0 to 1, which are no probabilities"


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> list[str]:
    shown = [(key, f"{value:,}" if type(value) is int else str(value)) for key, value in sorted(rows.items())]
    escaped = [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in shown]
    return [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {row} |" for row in escaped)]


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    """Return a table of the test and validation metrics that were measured."""
    flat = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    splits = {"test": flat, "validation": metrics.get("validation") or {}}
    lines = ["None was measured: there were no documents kept for it."]
    about = "Test documents had no part in training; by validation documents the scores' weights were chosen."
    ks = sorted({int(name.partition("@")[2]) for values in splits.values() for name in values})
    if ks:
        lines = [about, "", f"| | {' | '.join(f'@{k}' for k in ks)} |", "|---" * (len(ks) + 1) + "|"]
    for split, values in splits.items():
        for kind in METRIC_NAMES:
            cells = [f"{values[f'{kind}@{k}']:.2f}" if f"{kind}@{k}" in values else "" for k in ks]
            lines += [f"| {split} {kind} | {' | '.join(cells)} |"] if any(cells) else []
    return lines
