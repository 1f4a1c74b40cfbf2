"""Train collections with the default pipeline, export them, and print the tables of docs/your-data.md: how large the
exported models are and what they lose, and how far their probabilities hold on test documents.

    python benchmarks/exported.py --dataset bibtex --dataset gutenberg-lcsh --dataset yso-finna-en:60000 --root DIR

`NAME:N` trains on the first N documents. What is current under DIR is not trained again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xmlcli.cli.options import Options
from xmlcli.cli.predict import open_trained
from xmlcli.datasets.find import data_folders, locate
from xmlcli.datasets.load import read_dataset
from xmlcli.metrics import evaluate_top_k, parse_metric
from xmlcli.runs.results import model_bytes
from xmlcli.serving.model import Documents, Model, load
from xmlcli.stages.call import RunId

METRICS = ("P@1", "P@5", "PSP@5")
EDGES = (0, 1, 5, 10, 20, 30, 50, 70, 90, 100)


@dataclass(frozen=True)
class ExportedModel:
    """A collection, its run's model and the exported one, measured on the test documents.

    `probabilities` and `right` are of every label on a shortlist, `uncurved` the same without the fitted curve;
    `missing` is the share of true labels that no shortlist holds.
    """

    name: str
    labels: int
    sizes: tuple[int, int]
    metrics: tuple[dict[str, float], dict[str, float]]
    probabilities: npt.NDArray[np.float32]
    uncurved: npt.NDArray[np.float32]
    right: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
    missing: float


def measure(dataset: str, root: Path) -> ExportedModel:
    """Train, export and measure one collection, `NAME` or `NAME:N`."""
    name, _, most = dataset.partition(":")
    options = ["--dataset", name, *(["--max-documents", most] if most else []), "--root", str(root)]
    target = root / "models" / RunId(name).name
    for command in (["train", *options], ["export", *options, str(target)]):
        subprocess.run([sys.executable, "-m", "xmlcli", *command], check=True, stdout=sys.stderr)
    trained = open_trained(Options(dataset=name, root=root), lambda trained: trained)
    prepared, *_ = trained.artifacts()
    found = locate(name, data_folders(root))
    test = read_dataset(found, max_documents=1).test
    assert test is not None, "the collection has test documents"
    documents: Documents = test.texts if test.texts is not None else test.X
    exported = load(target)
    assert exported.contents is not None
    plain = replace(exported.contents.combination, curve=())
    uncurved = Model.of(replace(exported.contents, combination=plain))
    weights, wanted = prepared.array("inverse_propensity.npy"), [parse_metric(text) for text in METRICS]
    figures, scored = [], []
    for model in (trained.model(), exported, uncurved):
        top, probabilities = model.top_k(documents, exported.contents.settings.size)
        figures.append(evaluate_top_k(top, test.Y, weights, wanted))
        there = top < exported.num_labels
        rows = np.repeat(np.arange(len(top)), there.sum(axis=1))
        scored.append((probabilities[there], np.asarray(test.Y[rows, top[there]]).ravel() > 0))
    return ExportedModel(
        name,
        exported.num_labels,
        (
            model_bytes(trained.artifacts()),
            sum(path.stat().st_size for path in target.iterdir()),
        ),
        (figures[0], figures[1]),
        scored[1][0],
        scored[2][0],
        (scored[1][1], scored[2][1]),
        1 - scored[1][1].sum() / test.Y.nnz,
    )


def size_table(found: list[ExportedModel]) -> list[str]:
    """A row a collection: MiB and metrics before and after."""
    lines = [f"| | artifacts, MiB | exported, MiB | {' | '.join(METRICS)} |", "|---" * (3 + len(METRICS)) + "|"]
    for one in found:
        before, after = one.metrics
        changes = [f"{before[name]:.2f} → {after[name]:.2f}" for name in METRICS]
        sizes = [f"{size / 2**20:.1f}" for size in one.sizes]
        lines.append(f"| {one.name}, {one.labels:,} labels | {' | '.join([*sizes, *changes])} |")
    return lines


def reliability_table(found: list[ExportedModel], *, curved: bool) -> list[str]:
    """A row a bin of predicted probability: labels in it, their mean probability, the share that is right."""
    head = " | ".join(f"{one.name}: labels | mean predicted | right" for one in found)
    lines = [f"| predicted, % | {head} |", "|---" * (1 + 3 * len(found)) + "|"]
    for low, high in pairwise(EDGES):
        cells = []
        for one in found:
            percent = 100 * (one.probabilities if curved else one.uncurved)
            chosen = (percent >= low) & ((percent < high) | (high == EDGES[-1]))
            count, right = int(chosen.sum()), one.right[0 if curved else 1]
            means = [f"{percent[chosen].mean():.1f}", f"{100 * right[chosen].mean():.1f}"] if count else ["", ""]
            cells += [f"{count:,}", *means]
        lines.append(f"| {low} to {high} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", action="append", required=True, metavar="NAME[:N]")
    parser.add_argument("--root", type=Path, required=True, help="where runs and models are kept")
    options = parser.parse_args()
    found = [measure(dataset, options.root) for dataset in options.dataset]
    print("\n".join(size_table(found)))
    for curved in (True, False):
        print(f"\nTest documents, all labels of the shortlists, {'as predicted' if curved else 'without the curve'}:\n")
        print("\n".join(reliability_table(found, curved=curved)))
    print()
    for one in found:
        print(f"{one.name}: {100 * one.missing:.1f}% of the true labels are on no shortlist")


if __name__ == "__main__":
    main()
