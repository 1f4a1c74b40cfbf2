"""Scores against dense products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from support.planted_data import sparse_rows, unit_rows
from support.scored_shortlists import L, N, candidates_with_padding

from xmlcli.features.name_stems import name_stems
from xmlcli.features.tfidf import FeatureConfig, TextFeatures
from xmlcli.kernels.name_scores import NAME_SCORES, score_names
from xmlcli.prediction.combination import DEFAULT
from xmlcli.prediction.scores import Scores

Floats = npt.NDArray[np.float32]
F, D = 25, 6


def all_scores(rng: np.random.Generator) -> Scores:
    features = TextFeatures(FeatureConfig(), [f"w{f}" for f in range(F)], np.linspace(1, 3, F, dtype=np.float32))
    return Scores(
        weight=rng.standard_normal((L, D)).astype(np.float32),
        bias=rng.standard_normal(L).astype(np.float32),
        Z=unit_rows(L, D, 0),
        frequencies=rng.integers(0, 9, L).astype(np.float32),
        linear=sp.random(L, F + 1, 0.5, format="csr", dtype=np.float32, random_state=0),
        label_text=sparse_rows(L, F, 6, rng),
        stems=name_stems(features, [f"w{label} w{label + 1} (w{label + 2})" for label in range(L)]),
    )


def test_every_score_is_that_of_the_candidate_in_its_place() -> None:
    rng = np.random.default_rng(0)
    X, candidates = sparse_rows(N, F, 4, rng), candidates_with_padding()
    documents = rng.standard_normal((N, D)).astype(np.float32)
    documents[1] = 0
    scores = all_scores(rng)
    found = scores(X, documents, candidates)
    cosines = documents @ scores.Z.T / np.maximum(np.linalg.norm(documents, axis=1, keepdims=True), 1e-9)
    dense = {
        "classifier": documents @ scores.weight.T + scores.bias,
        "neighbour": cosines,
        "frequency": np.tile(np.log(1 + scores.frequencies), (N, 1)),
        "linear": np.column_stack([X.toarray(), np.ones(N)]) @ scores.linear.toarray().T,
        "label_text": X.toarray() @ scores.label_text.toarray().T,
    }
    text = scores.label_text.toarray() ** 2
    dense["text_share"] = (X.toarray() != 0) @ text.T / np.maximum(text.sum(axis=1), 1e-9)
    everything = np.tile(np.arange(L, dtype=np.int32), (N, 1))
    dense |= zip(NAME_SCORES, score_names(X, scores.stems, everything), strict=True)
    assert list(found) == list(dense) == scores.names
    assert found.keys() | {"search", "intercept"} > DEFAULT.coefficients.keys()
    there = candidates < L
    rows = np.arange(N)[:, None]
    for name, values in dense.items():
        assert found[name].dtype == np.float32
        assert np.allclose(found[name][there], values[rows, np.minimum(candidates, L - 1)][there], atol=1e-5), name
        assert np.isfinite(found[name]).all()


def test_scores_that_are_not_there_are_left_out() -> None:
    bare = replace(all_scores(np.random.default_rng(0)), linear=None, label_text=None, stems=None)
    nothing = sp.csr_matrix((N, F), dtype=np.float32)
    assert set(bare(nothing, np.zeros((N, D), np.float32), candidates_with_padding())) == {
        "classifier", "neighbour", "frequency",
    }  # fmt: skip
