"""How long xmlcli takes to train, to predict and to start, beside other programs in the same run.

benchmarks/README.md says how to run it and what each column is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scipy.sparse as sp
from measuring import XMLCLI, append_line, folder_bytes, machine, measure, provenance, table

import xmlcli
from xmlcli.datasets.documents import read_documents
from xmlcli.datasets.find import data_folders, locate
from xmlcli.datasets.synthetic import demo

GIB, MIB = 2**30, 2**20
OURS, DEFAULT = "xmlcli", "default"
WARM_UP = 50
BESIDE = ["", "", "runs", "train s", "without test s", "ours / theirs", "ms/document", "ours / theirs", "MiB", "GiB"]
ALONE = ["", "command ms/document", "p50 ms", "p99 ms", "start s", "GiB", "3 × prepared + model + optimisers, GiB"]
Line = dict[str, Any]


@dataclass(frozen=True)
class Effort:
    """How often each thing is done: runs of a program, single documents timed, starts; and options of training."""

    runs: int
    timed: int = 1000
    starts: int = 5
    options: tuple[str, ...] = ()


QUICK = Effort(1, 20, 1, ("--set=cycles=1", "--set=clf.max_epochs=1"))


@dataclass(frozen=True)
class Data:
    """A collection: its name or path, the first documents to take, and where its test documents lie."""

    name: str
    max_documents: int | None
    folder: Path
    test: Path

    @property
    def title(self) -> str:
        """What stands in the table."""
        return self.name + (f", first {self.max_documents:,}" if self.max_documents else "")

    @property
    def options(self) -> list[str]:
        """Options of `xmlcli train` that name it."""
        return ["--dataset", self.name, *(["--max-documents", str(self.max_documents)] if self.max_documents else [])]


def open_data(spec: str, scratch: Path) -> Data:
    """Find a collection `NAME[:MAX_DOCUMENTS]`; the embedded one gets a file of its test documents."""
    name, _, most = spec.partition(":")
    folder = locate(name, data_folders(Path()))
    if folder.path is not None:
        return Data(name, int(most) if most else None, folder.path, folder.files["test"])
    test = scratch / "test.txt"
    test.write_text("".join(f"{text}\n" for text in demo.make_test().texts or []))
    return Data(name, int(most) if most else None, scratch, test)


def ours(profile: str) -> str:
    """What stands in the table for our profile."""
    return OURS if profile == DEFAULT else f"{OURS}, {profile}"


def run_ours(data: Data, profile: str, scratch: Path, effort: Effort) -> Line:
    """Train in a fresh folder, export, and predict in every way; return one line of results."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root, model = Path(folder) / "root", Path(folder) / "model"
        chosen = [] if profile == DEFAULT else ["--profile", profile]
        options = [*data.options, *chosen, *effort.options, "--root", str(root)]
        trained = measure([*XMLCLI, "train", *options])
        measure([*XMLCLI, "export", *options, str(model)])
        costs = provenance(root)
        prepared = next(root.glob("artifacts/*/prepared"))
        num_test = json.loads((prepared / "prepared.json").read_text())["test_rows"]
        one_by_one = [sys.executable, __file__, "one", str(model), str(data.test), str(effort.timed)]
        milliseconds = [note for cost in costs.values() if (note := cost["notes"].get("predict_ms_per_document"))]
        return {
            "name": ours(profile),
            "data": data.title,
            "wall_s": trained.seconds,
            "without_test_s": trained.seconds - sum(milliseconds) * num_test / 1000,
            "stages": {call: cost["seconds"] for call, cost in costs.items()},
            "peak_bytes": trained.peak_bytes,
            **artifact_bytes(prepared.parent),
            "ms": milliseconds[-1],
            "model_bytes": folder_bytes(model),
            **predict_by_command(data, model, num_test, effort.starts),
            **json.loads(measure(one_by_one).stdout),
        }


def artifact_bytes(artifacts: Path) -> dict[str, int]:
    """Return the sizes of what training works on: prepared data, the last model, its optimisers' state."""
    last = max(artifacts.glob("cycle*/clf"), key=lambda path: int(path.parent.name.removeprefix("cycle")))
    return {
        "prepared_bytes": folder_bytes(artifacts / "prepared"),
        "clf_bytes": folder_bytes(*(last / name for name in ("model.safetensors", "linear.npz"))),
        "optimiser_bytes": folder_bytes(last / "optimiser.safetensors"),
    }


def predict_by_command(data: Data, model: Path, num_test: int, starts: int) -> Line:
    """Time the command on all test documents, and on one: the time from its start to the first answer."""
    folder = model.parent
    (first,) = first_documents(data.test, 1, as_text=xmlcli.load(model).takes_text)
    one = ["--text", first] if isinstance(first, str) else ["--input", str(folder / "one.npz")]
    if not isinstance(first, str):
        sp.save_npz(folder / "one.npz", first)
    command = [*XMLCLI, "predict", "--model", str(model)]
    seconds = [measure([*command, *one]).seconds for _ in range(starts)]
    whole = measure([*command, "--input", str(data.test), "--output", str(folder / "out.npz")])
    return {"start_s": statistics.median(seconds), "command_ms": 1000 * whole.seconds / num_test}


def first_documents(path: Path, count: int, *, as_text: bool) -> list[Any]:
    """Return the first documents of a file, texts or rows."""
    found: list[Any] = []
    for block in read_documents(str(path), as_text=as_text):
        documents = block.documents
        found += documents if isinstance(documents, list) else [documents[row] for row in range(documents.shape[0])]
        if len(found) >= count:
            break
    return found[:count]


def time_one_at_a_time(folder: Path, test: Path, count: int) -> Line:
    """Time single documents, raw text to names of labels, in this process; milliseconds."""
    model = xmlcli.load(folder)
    documents = first_documents(test, count, as_text=model.takes_text)
    single = [[document] if isinstance(document, str) else document for document in documents]
    for document in single[:WARM_UP]:
        model.predict(document)
    times = []
    for document in single:
        started = time.perf_counter_ns()
        model.predict(document)
        times.append((time.perf_counter_ns() - started) / 1e6)
    times.sort()
    return {"p50_ms": times[len(times) // 2], "p99_ms": times[min(len(times) * 99 // 100, len(times) - 1)]}


def run_peer(name: str, command: str, data: Data) -> Line:
    """Run another program's command line; the last JSON object it prints is its line of results."""
    filled = command.replace("{data}", str(data.folder)).replace("{documents}", str(data.max_documents or ""))
    done = measure(["sh", "-c", filled])
    found = [line[line.index("{") :] for line in done.stdout.splitlines() if line.rstrip().endswith("}")]
    if not found:
        raise SystemExit(f"{name}: the command printed no JSON object: {filled}")
    line = json.loads(found[-1])
    wall = line.get("wall_s", done.seconds - line["predict_s"])
    return {
        **line,
        "name": name,
        "data": data.title,
        "wall_s": wall,
        "without_test_s": wall,
        "peak_bytes": line.get("peak_bytes", done.peak_bytes),
        "ms": 1000 * line["predict_s"] / line["n_tst"],
    }


def report(lines: list[Line]) -> str:
    """Return Markdown tables of medians: training beside the peers, then what only ours was measured for."""
    groups: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        groups[line["data"]][line["name"]].append(line)
    beside, alone = [], []
    for data, programs in groups.items():
        own = {name: runs for name, runs in programs.items() if name.partition(",")[0] == OURS}
        for name, runs in programs.items():
            beside.append([data, name, len(runs), *_beside([] if name in own else list(own.values()), runs)])
        alone += [[data + name.removeprefix(OURS), *_alone(runs)] for name, runs in own.items()]
    return f"{table(BESIDE, beside)}\n\n{table(ALONE, alone)}"


def _median(runs: list[Line], key: str) -> float | None:
    values = [run[key] for run in runs if run.get(key) is not None]
    return float(statistics.median(values)) if values else None


def _beside(own: list[list[Line]], runs: list[Line]) -> list[object]:
    """Cells of one program; quotients of medians, of each of our profiles and it."""
    cells = {key: _median(runs, key) for key in ("wall_s", "without_test_s", "ms", "model_bytes", "peak_bytes")}

    def quotient(key: str) -> str | None:
        pairs = [(_median(mine, key), cells[key]) for mine in own]
        return ", ".join(f"{mine / theirs:.3g}" for mine, theirs in pairs if mine and theirs) or None

    size, peak = cells["model_bytes"], cells["peak_bytes"]
    return [
        cells["wall_s"], cells["without_test_s"], quotient("without_test_s"), cells["ms"], quotient("ms"),
        size / MIB if size else None, peak / GIB if peak else None,
    ]  # fmt: skip


def _alone(ours: list[Line]) -> list[float | None]:
    peak, prepared, model, optimiser = (
        (_median(ours, f"{name}_bytes") or 0.0) / GIB for name in ("peak", "prepared", "clf", "optimiser")
    )
    times = [_median(ours, key) for key in ("command_ms", "p50_ms", "p99_ms", "start_s")]
    return [*times, peak, 3 * prepared + model + optimiser]


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", action="append", metavar="NAME[:MAX_DOCUMENTS]")
    parser.add_argument(
        "--profile", action="append", help="ours, repeated: each is run and set beside; by default default"
    )
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="{data}, {documents} in it")
    parser.add_argument("--runs", type=int, default=3, help="of each program, by turns")
    parser.add_argument("--quick", action="store_true", help="a small part of the dataset demo, once")
    parser.add_argument("--results", type=Path, help="JSON lines are appended")
    return parser.parse_args(words)


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        model, test, count = sys.argv[2:5]
        print(json.dumps(time_one_at_a_time(Path(model), Path(test), int(count))))
        return
    options = parse()
    default = ["demo:1000"] if options.quick else ["gutenberg-lcsh", "delicious", "yso-finna-en:60000"]
    effort = QUICK if options.quick else Effort(options.runs)
    peers = [peer.partition("=")[::2] for peer in options.peer]
    lines: list[Line] = []

    def keep(line: Line) -> None:
        lines.append(line)
        append_line(options.results, line)

    with tempfile.TemporaryDirectory() as scratch:
        for spec in options.dataset or default:
            data = open_data(spec, Path(scratch))
            for _ in range(effort.runs):
                for profile in options.profile or [DEFAULT]:
                    keep(run_ours(data, profile, Path(scratch), effort))
                for name, command in peers:
                    keep(run_peer(name, command, data))
    print(f"{machine()}\n\n{report(lines)}")


if __name__ == "__main__":
    main()
