"""Train xmlcli on collections for several seeds, and set the figures beside those of other programs.

benchmarks/README.md says how to run it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from measuring import append_line

METRICS = [f"{name}@{k}" for name in ("P", "PSP") for k in (1, 3, 5)]


def run(dataset: str, seed: int, profile: str | None, max_documents: int | None) -> dict[str, Any]:
    """Train and evaluate once in a folder of its own; return one line of results."""
    options = ["--dataset", dataset, *(["--profile", profile] if profile else [])]
    limit = ["--max-documents", str(max_documents)] if max_documents else []
    xmlcli = [sys.executable, "-m", "xmlcli"]
    with tempfile.TemporaryDirectory() as root:
        started = time.perf_counter()
        subprocess.run(
            [*xmlcli, "train", "--replace", *options, *limit, "--seed", str(seed), "--root", root],
            check=True,
            stdout=sys.stderr,
        )
        wall = time.perf_counter() - started
        printed = subprocess.run(
            [*xmlcli, "evaluate", *options, *limit, "--seed", str(seed), "--root", root, "--json"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    found = json.loads(printed)
    return {
        "name": f"xmlcli, {profile or 'default'}",
        "data": dataset + (f", first {max_documents}" if max_documents else ""),
        "seed": seed,
        "wall_s": wall,
        "train_s": found["train_seconds"],
        "ms": found["predict_ms_per_document"],
        "model_bytes": found["model_bytes"],
        "memory_bytes": found["peak_memory_bytes"],
        **{metric: found["metrics"][metric] for metric in METRICS},
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Return a Markdown table for each collection, a row for each program, the median of its lines."""
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        groups[line["data"]][line["name"]].append(line)
    parts = []
    for data, programs in groups.items():
        parts += [f"## {data}", "", "| | runs | P@1 / 3 / 5 | PSP@1 / 3 / 5 | train s | wall s | ms/document | MiB |"]
        parts.append("|---|---|---|---|---|---|---|---|")
        parts += [_row(name, runs) for name, runs in programs.items()]
        parts.append("")
    return "\n".join(parts)


def _row(name: str, runs: list[dict[str, Any]]) -> str:
    def median(key: str) -> float | None:
        values = [run[key] for run in runs if run.get(key) is not None]
        return statistics.median(values) if values else None

    def show(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    milliseconds, size = median("ms"), median("model_bytes")
    if milliseconds is None and (seconds := median("predict_s")) is not None:
        milliseconds = 1000 * seconds / runs[0]["n_tst"]
    cells = [
        name, str(len(runs)),
        " / ".join(show(median(metric), 2) for metric in METRICS[:3]),
        " / ".join(show(median(metric), 2) for metric in METRICS[3:]),
        show(median("train_s"), 1), show(median("wall_s"), 1), show(milliseconds, 3),
        show(size / 2**20 if size else None, 1),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="train and evaluate ours, one JSON line a run")
    runs.add_argument("--dataset", action="append", required=True)
    runs.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    runs.add_argument("--profile")
    runs.add_argument("--max-documents", type=int)
    runs.add_argument("--results", type=Path, required=True, help="lines are appended")
    tables = commands.add_parser("table", help="print the tables")
    tables.add_argument("results", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "table":
        lines = [json.loads(line) for path in options.results for line in path.read_text().splitlines() if line]
        print(table(lines))
        return
    for dataset in options.dataset:
        for seed in options.seeds:
            append_line(options.results, run(dataset, seed, options.profile, options.max_documents))


if __name__ == "__main__":
    main()
