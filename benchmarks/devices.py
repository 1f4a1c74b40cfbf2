"""What training takes on the CPU and on the GPU of one machine, by turns in one run, and whether figures agree.

benchmarks/README.md says how to run it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from measuring import XMLCLI, append_line, machine, measure, provenance, table

GIB = 2**30
METRICS = ("P@1", "P@5", "PSP@1", "PSP@5")
STAGES = ("prepare", "init-clf", "embed-labels", "shortlist", "train-clf", "evaluate")
Line = dict[str, Any]


def run(spec: str, device: str, seed: int, options: list[str]) -> Line:
    """Train a collection `NAME[:MAX_DOCUMENTS]` in a fresh folder; return one line of results."""
    name, _, most = spec.partition(":")
    words = ["--dataset", name, *(["--max-documents", most] if most else []), "--set", f"seed={seed}", *options]
    with tempfile.TemporaryDirectory() as root:
        print("xmlcli train", *words, "--device", device, file=sys.stderr)
        trained = measure([*XMLCLI, "train", *words, "--device", device, "--root", root])
        found = json.loads(measure([*XMLCLI, "evaluate", *words, "--root", root, "--json"]).stdout)
        costs = provenance(Path(root))
    stages: dict[str, float] = defaultdict(float)
    for call, cost in costs.items():
        stages[call.rstrip("-0123456789")] += cost["seconds"]
    return {
        "data": name + (f", first {int(most):,}" if most else ""),
        "device": costs["train-clf-1"]["device"],
        "wall_s": trained.seconds,
        "stages": stages,
        "peak_bytes": trained.peak_bytes,
        "peak_gpu_bytes": max(cost["peak_gpu_memory_bytes"] or 0 for cost in costs.values()),
        **{metric: found["metrics"][metric] for metric in METRICS},
    }


def report(lines: list[Line]) -> str:
    """Return a Markdown table: medians of the lines of one collection on one device."""
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line["data"], line["device"]].append(line)
    rows = [
        [
            data, device, len(group), _median(group, "wall_s"),
            *(statistics.median(line["stages"].get(stage, 0.0) for line in group) for stage in STAGES),
            *(_median(group, metric) for metric in METRICS),
            _median(group, "peak_bytes") / GIB, _median(group, "peak_gpu_bytes") / GIB,
        ]
        for (data, device), group in groups.items()
    ]  # fmt: skip
    head = ["", "device", "runs", "train s", *(f"{stage} s" for stage in STAGES), *METRICS, "GiB", "GPU GiB"]
    return table(head, rows)


def _median(lines: list[Line], key: str) -> float:
    return float(statistics.median(line[key] for line in lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", action="append", help="NAME or NAME:MAX_DOCUMENTS, repeated")
    parser.add_argument("--device", action="append", help="cpu or cuda, repeated; default: both where there is a GPU")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--option", action="append", default=[], help="of xmlcli train, e.g. --option=--set=cycles=1")
    parser.add_argument("--quick", action="store_true", help="a small part of demo, to see that it works")
    parser.add_argument("--results", type=Path, help="JSON lines are appended")
    options = parser.parse_args()
    datasets = options.dataset or ["delicious", "gutenberg-lcsh", "yso-finna-en:60000"]
    devices = options.device or (["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
    extra, seeds = list(options.option), options.seeds
    if options.quick:
        datasets, seeds = ["demo:1000"], [1]
        extra += ["--set=cycles=1", "--set=clf.max_epochs=1"]
    lines = []
    for spec in datasets:
        for seed in seeds:
            for device in devices:
                lines.append(run(spec, device, seed, extra))
                append_line(options.results, lines[-1])
    gpu = f" GPU: {torch.cuda.get_device_name()}." if torch.cuda.is_available() else ""
    print(f"{machine()}{gpu}\n\n{report(lines)}")


if __name__ == "__main__":
    main()
