"""The ranking of the test documents that a training made, and their true labels, for comparisons."""

from __future__ import annotations

import numpy as np

from xmlcli.comparison.systems import System, Truth
from xmlcli.errors import UsageError
from xmlcli.runs.plan import find_call
from xmlcli.runs.snapshot import Training


def read_ranking(training: Training) -> tuple[System, Truth]:
    """Return the ranking of a training's last cycle, and what it is measured on.

    Raises UsageError where there are no test documents.
    """
    call = find_call(training.plan, "evaluate", training.config.cycles)
    prepared, name = training.read(call.inputs["prepared"]), training.run.name
    Y = prepared.csr("Y_test.npz")
    if not Y.shape[0]:
        raise UsageError(
            f"{name} has no test documents to compare", remedy="add a test file to the dataset, train again"
        )
    truth = Truth(
        Y,
        prepared.array("inverse_propensity.npy"),
        np.asarray(prepared.csr("Y_train.npz").getnnz(axis=0), np.int64),
        prepared.json("labels.json") if prepared.has("labels.json") else None,
        prepared.array("test_filter.npy") if prepared.has("test_filter.npy") else None,
    )
    return System(name, training.read(call.output).array("test_top.npy")), truth
