"""The card of an exported model, in Markdown: what it was trained on, how good it is, how to use it."""

from __future__ import annotations

from collections.abc import Mapping
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
    lines = [
        f"# Labels of {name}",
        "",
        f"A model of xmlcli {__version__} that ranks {len(contents.bias):,} labels for documents; it takes {takes}.",
        f"{size / 2**20:.1f} MiB. Scores are {_meaning(contents.combination)}.",
        *_voters(contents),
        "",
        "## Use",
        "",
        '    xmlcli predict --model DIR --text "..."',
        "",
        "    import xmlcli",
        '    model = xmlcli.load("DIR")',
        '    model.predict(["..."], k=5)',
        "",
        "## Data",
        "",
        *_table(("", ""), about.get("data", {})),
        "",
        "## Figures, percent",
        "",
        *_figures(about.get("metrics", {})),
        "",
        "## Settings",
        "",
        *_table(("setting", "value"), about.get("parameters", {})),
        "",
    ]
    return "\n".join(lines)


def _voters(contents: ModelContents) -> list[str]:
    if contents.voters is None:
        return []
    return [
        f"For its kNN votes it holds the term weights and labels of {len(contents.voters.scale):,} training documents.",
        "Trained with `--set evaluate.voters=null` it would hold none.",
    ]


def _meaning(combination: Combination) -> str:
    if combination.kind == "logistic":
        return "probabilities, fitted on validation documents"
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
    ks = sorted({int(name.partition("@")[2]) for values in splits.values() for name in values})
    if ks:
        lines = [f"| | {' | '.join(f'@{k}' for k in ks)} |", "|---" * (len(ks) + 1) + "|"]
    for split, values in splits.items():
        for kind in METRIC_NAMES:
            cells = [f"{values[f'{kind}@{k}']:.2f}" if f"{kind}@{k}" in values else "" for k in ks]
            lines += [f"| {split} {kind} | {' | '.join(cells)} |"] if any(cells) else []
    return lines
