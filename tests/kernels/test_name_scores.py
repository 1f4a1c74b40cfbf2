"""Scores of label names against sets of stems."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmlcli.kernels.name_scores import NAME_SCORES, NameStems, score_names, score_texts
from xmlcli.kernels.quantised import QuantisedRows
from xmlcli.kernels.row_scores import SparseRows

F, S, R, N = 14, 7, 9, 40


def an_example(seed: int) -> tuple[sp.csr_matrix, NameStems, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = sp.random(N, F, 0.3, format="csr", dtype=np.float32, random_state=seed)
    X[2] = 0
    X.eliminate_zeros()
    stem_of = rng.integers(0, S + 1, F).astype(np.int32)  # S: no word
    sets = [sorted(rng.choice(S, rng.integers(0, 4), replace=False).tolist()) for _ in range(2 * R)]
    sets[4] = sets[5] = []
    unknown = rng.integers(0, 2, 2 * R) * (np.arange(2 * R) > 5)
    rarity = rng.uniform(1, 5, S).astype(np.float32)
    total = [sum(rarity[s] for s in own) + 5 * more for own, more in zip(sets, unknown, strict=True)]
    ends = np.append(0, np.cumsum([len(own) for own in sets])).astype(np.int32)
    counts = [len(own) + more for own, more in zip(sets, unknown, strict=True)]
    names = NameStems(
        stem_of.astype(np.uint32), rarity, np.stack([ends[:-1:2], ends[1::2], ends[2::2]], axis=1),
        np.array([s for own in sets for s in own], np.uint32),
        np.stack([total, counts], axis=1).astype(np.float32).reshape(R, 4),
    )  # fmt: skip
    candidates = np.argsort(rng.random((N, R + 1)), axis=1)[:, :6].astype(np.int32)
    return X, names, candidates


def scored_naively(X: sp.csr_matrix, names: NameStems, candidates: np.ndarray) -> np.ndarray:
    scores = np.zeros((len(NAME_SCORES), *candidates.shape))
    for i, row in enumerate(X.toarray()):
        weight = {s: row[names.stem_of == s].sum() for s in range(S)}
        for j, label in enumerate(candidates[i]):
            if label == R:
                continue
            found = []
            for part in (0, 1):
                stems = names.stems[names.offsets[label, part] : names.offsets[label, part + 1]]
                there = [s for s in stems if weight[s] > 0]
                share = sum(names.rarity[s] for s in there) / max(names.sums[label, 2 * part], 1e-9)
                number = max(names.sums[label, 2 * part + 1], 1)
                found.append((share, sum(weight[s] for s in there) / number, len(there)))
            everything = 0 < names.sums[label, 1] == found[0][2]
            scores[:, i, j] = (
                found[0][0], everything, everything * names.sums[label, 0], found[0][1], found[1][0], found[1][1],
            )  # fmt: skip
    return scores


def test_scores_are_those_of_sets() -> None:
    for seed in range(5):
        X, names, candidates = an_example(seed)
        found, wanted = score_names(X, names, candidates), scored_naively(X, names, candidates)
        assert found.dtype == np.float32
        assert np.allclose(found, wanted, atol=1e-5)
        assert all(wanted[at].any() for at in range(len(NAME_SCORES)))


def test_no_documents_and_no_features_score_nothing() -> None:
    X, names, candidates = an_example(0)
    assert score_names(X[:0], names, candidates[:0]).shape == (len(NAME_SCORES), 0, 6)
    assert not score_names(sp.csr_matrix((N, F), dtype=np.float32), names, candidates).any()


def test_scores_of_texts_are_products_and_shares_of_squares() -> None:
    X, _, candidates = an_example(1)
    text = sp.random(R, F, 0.4, format="csr", dtype=np.float32, random_state=3)
    text[5] = 0
    text.eliminate_zeros()
    squares, there, products = text.toarray() ** 2, X.toarray() > 0, (X @ text.T).toarray()
    wanted = np.zeros((2, *candidates.shape))
    for (i, j), label in np.ndenumerate(candidates):
        if label < R and squares[label].any():
            wanted[:, i, j] = products[i, label], squares[label][there[i]].sum() / squares[label].sum()
    found = score_texts(X, SparseRows.of(text), candidates)
    assert found.dtype == np.float32
    assert np.allclose(found, wanted, atol=1e-6)
    assert len(np.unique(wanted[1])) > 10
    quantised = QuantisedRows.of(text, num_columns=F)
    assert np.allclose(score_texts(X, quantised.rows(), candidates), wanted, atol=0.03)
