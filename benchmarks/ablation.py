"""What each ingredient is worth: train without it, or leave its score out of the combination, and measure again.

benchmarks/README.md says how to run it. Nothing is chosen by these figures, which are of test documents.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import XMLCLI, append_line, machine, provenance

from xmlcli.cli.options import Opened, Options, open_run
from xmlcli.distributed.ranks import ALONE
from xmlcli.metrics import drop_filtered, evaluate_top_k, parse_metric
from xmlcli.prediction.combination import Combination
from xmlcli.prediction.scores import VOTES
from xmlcli.prediction.validation_weights import novelty_weights
from xmlcli.runs.plan import find_call, plan
from xmlcli.stages.combine import fit
from xmlcli.stages.engine import ModelArtifacts, load_engine
from xmlcli.stages.inputs import own_documents, validation_documents, without_validation
from xmlcli.stages.job import Job

METRICS = [f"{name}@{k}" for name in ("P", "PSP") for k in (1, 3, 5)]
Line = dict[str, Any]

TRAINED = {
    "nothing": [],
    "parts of words": ["prepare.char_ngrams=null"],
    "idf": ["prepare.use_idf=false"],
    "the second cycle": ["cycles=1"],
    "the last refresh of the label embeddings": ["final_refresh=false"],
    "the proxy map: plain centroids": ["proxy.epochs=0"],
    "label text in the centroids": ["proxy.label_text=false"],
    "the bonus of frequent labels": ["proxy.priors=[0.0]", "proxy.base_rates=[0.0]"],
    "vectors in the search": ["shortlist.vectors=0.0"],
    "words in the search": ["shortlist.backend=exact"],
    "half of the shortlist": ["shortlist.size=50"],
    "the spectral start": ["model.start=random"],
    "the residual block": ["model.residual=false"],
    "dropout": ["model.dropout=0.0"],
    "hard negatives": ["clf.hard_negatives=0"],
    "random negatives": ["clf.random_negatives=0"],
    "negatives of the whole batch": ["clf.negatives=document"],
    "RMSprop: Adam, with momentum": ["clf.optimiser=adam"],
    "steps of phase 3: encoder and classifiers as they start": ["clf.epochs=0", "clf.max_epochs=0"],
    "the linear part": ["linear.enabled=false"],
    "the linear part's start at the centroids": ["linear.start=0.0"],
    "the fitted combination: the authors', of two scores": ["evaluate.combination=authors"],
}
"""What is removed → settings of a pipeline trained without it."""

SCORES = {
    "dense classifier": {"classifier"},
    "neighbour score": {"neighbour"},
    "both, all of the encoder": {"classifier", "neighbour"},
    "linear part": {"linear"},
    "the search's own score": {"search"},
    "frequency": {"frequency"},
    "label text": {"label_text"},
    "votes of near documents": {VOTES},
}
"""What is left out → its scores, the combination fitted anew to the others."""


def train(spec: str, seed: int, removed: str, settings: list[str]) -> list[Line]:
    """Train a collection `NAME[:MAX_DOCUMENTS]` without something; where nothing is removed, leave scores out too."""
    name, _, most = spec.partition(":")
    words = ["--dataset", name, *(["--max-documents", most] if most else []), "--seed", str(seed)]
    words += [word for setting in settings for word in ("--set", setting)]
    about = {"data": name + (f", first {int(most):,}" if most else ""), "seed": seed}
    with tempfile.TemporaryDirectory() as root:
        print("xmlcli train", *words, file=sys.stderr)
        subprocess.run([*XMLCLI, "train", "--replace", *words, "--root", root], check=True, stdout=sys.stderr)
        printed = subprocess.run(
            [*XMLCLI, "evaluate", *words, "--root", root, "--json"], check=True, capture_output=True, text=True
        ).stdout
        found = json.loads(printed)["metrics"]
        seconds = sum(cost["seconds"] for call, cost in provenance(Path(root)).items() if "evaluate" not in call)
        lines = [about | {"removed": removed, "seconds": seconds} | {metric: found[metric] for metric in METRICS}]
        if not settings:
            options = Options(dataset=name, root=Path(root), max_documents=int(most) if most else None, seed=seed)
            lines += [about | {"left_out": what} | found for what, found in without_scores(options).items()]
    return lines


def without_scores(options: Options) -> dict[str, dict[str, float]]:
    """Return the test metrics of a trained run by what is left out of its combination."""
    opened = open_run(options)
    fitted, measured = (_artifacts(opened, stage) for stage in ("combine", "evaluate"))
    prepared = measured.prepared
    X, Y = validation_documents(prepared)
    X_test, Y_test = prepared.csr("X_test.npz"), prepared.csr("Y_test.npz")
    learnt, _ = own_documents(prepared, slice(0, without_validation(prepared)), ALONE)
    weights, new = prepared.array("inverse_propensity.npy"), novelty_weights(X, learnt, ALONE)
    filtered = prepared.array("test_filter.npy") if prepared.has("test_filter.npy") else None
    metrics, num_labels = [parse_metric(name) for name in METRICS], Y.shape[1]
    candidates, scores = load_engine(fitted, opened.config).score(X)
    engine, unseen = load_engine(measured, opened.config), _trained(opened).unseen
    voters = 0 if engine.voters is None else engine.voters.count
    if not fit(scores, candidates, Y, new, weights).uses(VOTES):
        scores.pop(VOTES, None)
    found = {}
    for what, names in SCORES.items():
        if not names <= scores.keys():
            continue
        kept = {name: score for name, score in scores.items() if name not in names}
        combination = replace(fit(kept, candidates, Y, new, weights, voters), unseen=unseen)
        model = replace(engine, combination=combination, voters=engine.voters if combination.voters else None)
        top, _ = model.with_unseen(opened.config.shortlist).top_k(X_test, 100)
        top = top if filtered is None else drop_filtered(top, filtered, num_labels).astype(np.int32)
        found[what] = evaluate_top_k(top, Y_test, weights, metrics)
    return found


def _artifacts(opened: Opened, stage: str) -> ModelArtifacts:
    """Return the artifacts of the model that a stage of the last cycle reads."""
    job = _job(opened, stage)
    return ModelArtifacts(*(job.read(kind) for kind in ModelArtifacts._fields))


def _trained(opened: Opened) -> Combination:
    """Return the combination that the run predicts with."""
    return Combination.from_json(_job(opened, "evaluate").read("combination").json("combination.json"))


def _job(opened: Opened, stage: str) -> Job:
    call = find_call(plan(opened.config, opened.run), stage, opened.config.cycles)
    return Job(call=call, workspace=opened.workspace, config=opened.config)


def report(lines: list[Line]) -> str:
    """Return two Markdown tables, a column for each collection: means over seeds."""
    collections = list(dict.fromkeys(line["data"] for line in lines))
    groups: dict[tuple[str, str], dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        kind = "removed" if "removed" in line else "left_out"
        groups[kind, line[kind]][line["data"]].append(line)
    parts = [machine(), ""]
    for kind, title in (("removed", "trained without"), ("left_out", "score left out")):
        parts += ["| " + " | ".join([title, *collections]) + " |", "|---" * (len(collections) + 1) + "|"]
        for (of_kind, what), by_data in groups.items():
            if of_kind == kind:
                parts.append("| " + " | ".join([what, *(_cell(by_data.get(data, [])) for data in collections)]) + " |")
        parts.append("")
    return "\n".join(parts)


def _cell(lines: list[Line]) -> str:
    if not lines:
        return ""
    means = [f"{np.mean([line[metric] for line in lines]):.2f}" for metric in METRICS]
    seconds = f" ({np.mean([line['seconds'] for line in lines]):.0f} s)" if "seconds" in lines[0] else ""
    return "/".join(means[:3]) + " · " + "/".join(means[3:]) + seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", action="append", help="NAME or NAME:MAX_DOCUMENTS, repeated; by default two")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", action="append", help="a row of the table, by its name, repeated; by default all")
    parser.add_argument("--results", type=Path, help="JSON lines are appended; what is there is not run again")
    options = parser.parse_args()
    earlier = options.results.read_text() if options.results and options.results.exists() else ""
    lines = [json.loads(line) for line in earlier.splitlines()]
    done = {(line["data"], line["seed"], line.get("removed")) for line in lines}
    for spec in options.dataset or ["gutenberg-lcsh", "yso-finna-en:60000"]:
        name, _, most = spec.partition(":")
        for removed in options.only or TRAINED:
            for seed in options.seeds:
                if (name + (f", first {int(most):,}" if most else ""), seed, removed) not in done:
                    for line in train(spec, seed, removed, TRAINED[removed]):
                        append_line(options.results, line)
                        lines.append(line)
    print(report(lines))


if __name__ == "__main__":
    main()
