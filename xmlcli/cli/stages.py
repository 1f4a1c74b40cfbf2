"""`xmlcli prepare`, `init-clf`, `embed-labels`, `shortlist`, `train-clf`, `combine`, `finish`: each runs one stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from xmlcli.cli.options import Options, with_options
from xmlcli.cli.running import run_stage

Cycle = Annotated[int, typer.Option(min=1, help="Which cycle.")]


@with_options("device")
def prepare_cli(options: Options) -> None:
    """Make features, labels and a validation split of a raw dataset.

    Test documents are set aside: only evaluate reads them. Later stages read only what this one writes.

    Example: xmlcli prepare --dataset demo
    """
    run_stage(replace(options, device="cpu"), "prepare")


@with_options()
def init_clf_cli(options: Options) -> None:
    """Make the untrained encoder and classifiers, the model of cycle 0.

    The first cycle starts from them, as every later cycle starts from the one before it.

    Example: xmlcli init-clf --dataset demo
    """
    run_stage(options, "init-clf")


@with_options()
def embed_labels_cli(options: Options, cycle: Cycle) -> None:
    """Phase 1: train the label embeddings of a cycle.

    A label's embedding is the mean of its documents' vectors under the last cycle's encoder, sent through a learned
    map.

    Example: xmlcli embed-labels --dataset demo --cycle 1
    """
    run_stage(options, "embed-labels", cycle)


@with_options()
def shortlist_cli(options: Options, cycle: Cycle) -> None:
    """Phase 2: find the nearest labels of every training document.

    Phase 3 learns to tell the wrong labels among them from the right ones.

    Example: xmlcli shortlist --dataset demo --cycle 1
    """
    run_stage(options, "shortlist", cycle)


@with_options()
def train_clf_cli(options: Options, cycle: Cycle) -> None:
    """Phase 3: train encoder and classifiers on the shortlists of a cycle.

    If it was stopped before, it goes on from its last checkpoint.

    Example: xmlcli train-clf --dataset demo --cycle 1
    """
    run_stage(options, "train-clf", cycle)


@with_options()
def combine_cli(options: Options, cycle: Cycle) -> None:
    """Fit the combination of scores on the validation documents.

    The model of the cycle has not learnt from them. What is fitted here, coefficients and probabilities, is used to
    predict.

    Example: xmlcli combine --dataset demo --cycle 2
    """
    run_stage(options, "combine", cycle)


@with_options()
def finish_cli(options: Options, cycle: Cycle) -> None:
    """Let the model of the last cycle learn from the validation documents too.

    The linear classifiers of their labels are trained anew, on all documents.

    Example: xmlcli finish --dataset demo --cycle 2
    """
    run_stage(options, "finish", cycle)
