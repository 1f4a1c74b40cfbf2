"""How the cost of training and prediction grows with the number of labels, on generated collections.

benchmarks/README.md says how to run it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import XMLCLI, Finished, append_line, folder_bytes, machine, measure, provenance, table

GIB, MIB = 2**30, 2**20


def run(labels: int, documents: int, test: int | None, text: bool, options: list[str], seed: int) -> dict[str, Any]:
    """Generate, train, export and predict in a folder of its own; return one line of results."""
    with tempfile.TemporaryDirectory() as folder:
        root, data, model = (Path(folder) / name for name in ("root", "data", "model"))
        size = ["--labels", str(labels), "--documents", str(documents), "--seed", str(seed)]
        size += ["--test", str(test)] if test else []
        generated = _xmlcli("generate", str(data), *size, *(["--text"] if text else []))
        name = ["--dataset", str(data), *options, "--root", str(root)]
        trained = _xmlcli("train", *name)
        found = json.loads(_xmlcli("evaluate", *name, "--json").stdout)
        _xmlcli("export", *name, str(model))
        source = data / ("tst.json.gz" if text else "X.tst.npz")
        predicted = _xmlcli("predict", "--model", str(model), "--input", str(source), "--output", f"{folder}/out.npz")
        stages = {call: (cost["seconds"], cost["peak_memory_bytes"]) for call, cost in provenance(root).items()}
        return {
            "labels": labels,
            "documents": documents,
            "options": options,
            "generate_s": generated.seconds,
            "stages": stages,
            "wall_s": trained.seconds,
            "peak_bytes": trained.peak_bytes,
            "ms": found["predict_ms_per_document"],
            "command_s": predicted.seconds,
            "command_bytes": predicted.peak_bytes,
            "exported_bytes": folder_bytes(model),
            "P@1": found["metrics"]["P@1"],
            "PSP@5": found["metrics"]["PSP@5"],
        }


def _xmlcli(*words: str) -> Finished:
    print("xmlcli", *words, file=sys.stderr)
    return measure([*XMLCLI, *words])


def report(lines: list[dict[str, Any]]) -> str:
    """Return two Markdown tables: a row for each size, and a row for each stage with a column for each size."""
    first = lines[0]
    rows = [
        [
            line["labels"], line["documents"], line["wall_s"], _unit_cost(line) / _unit_cost(first),
            line["peak_bytes"] / GIB, line["ms"], line["ms"] / first["ms"], line["command_s"],
            line["command_bytes"] / GIB, line["exported_bytes"] / MIB, line["P@1"], line["PSP@5"],
        ]
        for line in lines
    ]  # fmt: skip
    head = [
        "labels", "documents", "train s", "a document × log labels", "peak GiB", "ms/document", "times the first",
        "predict s", "its GiB", "exported MiB", "P@1", "PSP@5",
    ]  # fmt: skip
    sizes = [f"{line['labels']:,} labels" for line in lines]
    calls = dict.fromkeys(call for line in lines for call in line["stages"])
    stages = [[call, *(_stage(line["stages"].get(call)) for line in lines)] for call in calls]
    return f"{table(head, rows)}\n\n{table(['seconds, GiB so far', *sizes], stages)}"


def _unit_cost(line: dict[str, Any]) -> float:
    """Seconds of training by document and logarithm of the labels."""
    return float(line["wall_s"] / (line["documents"] * math.log(line["labels"])))


def _stage(cost: tuple[float, int] | None) -> str | None:
    return None if cost is None else f"{cost[0]:.1f}, {cost[1] / GIB:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--documents", type=int, nargs="+", help="one for each number of labels; default: as many")
    parser.add_argument("--test", type=int, help="test documents; default: as xmlcli generate has it")
    parser.add_argument("--text", action="store_true", help="raw text in place of matrices")
    parser.add_argument("--quick", action="store_true", help="200 and 400 labels, one short cycle")
    parser.add_argument("--option", action="append", default=[], help="of xmlcli train, e.g. --option=--set=cycles=1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, help="JSON lines are appended")
    options = parser.parse_args()
    sizes = [200, 400] if options.quick else options.labels
    extra = options.option + (["--set=cycles=1", "--set=clf.max_epochs=1"] if options.quick else [])
    documents = options.documents or sizes
    if len(documents) != len(sizes):
        parser.error("--documents needs one number for each of --labels")
    lines = []
    for num_labels, num_documents in zip(sizes, documents, strict=True):
        lines.append(run(num_labels, num_documents, options.test, options.text, extra, options.seed))
        append_line(options.results, lines[-1])
    print(f"{machine()}\n\n{report(lines)}")


if __name__ == "__main__":
    main()
