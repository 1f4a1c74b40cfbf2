"""How the scores of labels without training documents become log-odds: fitted on labels that are treated as such.

A twentieth of the labels with documents is searched and scored by text alone, as if it had none; then the next
twentieth, until each label was hidden once. What is right among them, the validation documents tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Bools, Floats, Ints
from xmlcli.config.sections import ShortlistConfig
from xmlcli.metrics import hit_matrix
from xmlcli.prediction.calibration import calibrated
from xmlcli.prediction.combination import Combination
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.fit import logistic_regression
from xmlcli.prediction.unseen import make_unseen, may_be_unseen

_PARTS = 20  # of the labels, each hidden once
_FEWEST = 20  # labels found that are right; of fewer nothing can be told


def fit_unseen(
    engine: Engine, X: sp.csr_matrix, Y: sp.csr_matrix, weights: Floats, config: ShortlistConfig
) -> Combination | None:
    """Return the combination for labels without documents; None where there are none, or too little tells of them.

    X: float32 CSR (N, F), all validation documents; Y: CSR (N, L); weights: float32 (N,), of the documents. Of several
    ranks each scores its share of the documents.
    """
    ranks, frequencies = engine.ranks, engine.scores.frequencies
    if not may_be_unseen(config, engine.scores) or (frequencies > 0).all() or not X.shape[0]:
        return None
    part = np.random.default_rng(0).permutation(len(frequencies)) % _PARTS
    own = X[ranks.share(X.shape[0])]
    documents, found = engine.encoder.unit(own), []
    for number in range(_PARTS):
        which = partial(_hidden, part == number)
        candidates, scores = make_unseen(engine.scores, engine.encoder.unit, config, which=which).score(own, documents)
        gathered = {name: ranks.all_gather_rows(score) for name, score in scores.items()}
        found.append((ranks.all_gather_rows(candidates), gathered))
    candidates = np.concatenate([labels for labels, _ in found])
    scores = {name: np.concatenate([scores[name] for _, scores in found]) for name in found[0][1]}
    everyone = sp.vstack([Y] * _PARTS, format="csr")
    return ranks.broadcast(lambda: _fit(scores, candidates, everyone, np.tile(weights, _PARTS)))


def _hidden(part: Bools, frequencies: Floats) -> Bools:
    return part & (frequencies > 0)


def _fit(scores: Mapping[str, Floats], candidates: Ints, Y: sp.csr_matrix, weights: Floats) -> Combination | None:
    """Fit coefficients by logistic regression, and the curve. Arguments as of `fit_logistic`."""
    there, right = candidates < Y.shape[1], hit_matrix(candidates, Y)
    if right.sum() < _FEWEST:
        return None
    columns = np.column_stack([*(score[there] for score in scores.values()), np.ones(there.sum())]).astype(np.float64)
    counts = np.broadcast_to(weights[:, None], there.shape)[there]
    coefficients = logistic_regression(columns, right[there], counts)
    combination = Combination("logistic", dict(zip([*scores, "intercept"], coefficients, strict=True)))
    return calibrated(combination, scores, candidates, Y, weights)
