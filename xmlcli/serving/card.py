"""The card of a carried model: what it was trained on, how good it is, how to use it. Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmlcli.metrics import METRIC_NAMES
from xmlcli.serving.contents import ModelContents
from xmlcli.version import __version__


def write_card(parts: ModelContents, size: int) -> str:
    """Return the card of a model whose files have `size` bytes."""
    about = parts.about
    name = about.get("dataset", "a collection")
    takes = "texts" if parts.vocabulary is not None else f"vectors of {len(parts.tokens.scale):,} features"
    lines = [
        f"# Labels of {name}",
        "",
        f"A model of xmlcli {__version__} that ranks {len(parts.bias):,} labels for documents; it takes {takes}.",
        f"{size / 2**20:.1f} MiB. Scores are {_meaning(parts.settings)}.",
        *_contents(parts),
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


def _contents(parts: ModelContents) -> list[str]:
    if parts.voters is None:
        return []
    return [
        f"It holds the words' weights and the labels of {len(parts.voters.scale):,} training documents, of which the",
        "nearest vote; trained with `--set evaluate.voters=null` it would hold none.",
    ]


def _meaning(settings: Mapping[str, Any]) -> str:
    if settings["combination"]["kind"] == "logistic":
        return "probabilities, fitted on validation documents"
    return "no probabilities, but the authors' sums, from 0 to 1"


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> list[str]:
    shown = [(key, f"{value:,}" if type(value) is int else str(value)) for key, value in sorted(rows.items())]
    escaped = [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in shown]
    return [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {row} |" for row in escaped)]


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    """Return a table of test metrics and one of validation metrics, where there are any."""
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
