"""Time what should take no time at all: `xmlcli --help`, and the metrics of 100,000 documents.

    python benchmarks/instant.py > instant.md
    python benchmarks/instant.py --quick        # once each, of fewer documents, to see that it works

A row is the median and the smallest of several runs, after one that does not count.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from measuring import XMLCLI, machine, table

from xmlcli.datasets.predictions import top_k
from xmlcli.metrics import evaluate_top_k

LABELS, RANKED = 30_000, 10


def seconds(call: Callable[[], object], runs: int) -> list[float]:
    """Return how long each run takes after a first one."""
    call()
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def command(*words: str) -> None:
    """Run the program."""
    subprocess.run([*XMLCLI, *words], check=True, capture_output=True)


def scored(num_documents: int) -> sp.csr_matrix:
    """Return documents with ten scores each, float64 CSR (N, L)."""
    rng = np.random.default_rng(3)
    width = LABELS // RANKED
    labels: npt.NDArray[np.int64] = rng.integers(0, width, (num_documents, RANKED)) + np.arange(RANKED) * width
    offsets = np.arange(num_documents + 1) * RANKED
    return sp.csr_matrix((rng.random(labels.size), labels.ravel(), offsets), shape=(num_documents, LABELS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run of each, of 1,000 documents")
    runs, num_documents = (1, 1_000) if parser.parse_args().quick else (9, 100_000)
    scores = scored(num_documents)
    top, weights = top_k(scores, RANKED), np.ones(LABELS)
    timed: dict[str, Callable[[], object]] = {
        "xmlcli --help": partial(command, "--help"),
        "xmlcli predict --help": partial(command, "predict", "--help"),
        f"ranking {num_documents:,} documents, {RANKED} scores each": partial(top_k, scores, RANKED),
        f"15 metrics of {num_documents:,} documents": partial(evaluate_top_k, top, scores, weights),
    }
    rows = []
    for what, call in timed.items():
        found = seconds(call, runs)
        rows.append([what, median(found), min(found)])
    print(machine(), table(("what", "median s", "least s"), rows), sep="\n\n")


if __name__ == "__main__":
    main()
