"""An Engine against its parts, and blocks against a whole."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from support.bent_model import GELU, LABELS, X, Y, arrays, bent_model
from support.planted_data import unit_rows

from xmlcli.encoder.encoder import encode, unit
from xmlcli.encoder.numpy_encoder import DocumentEncoder
from xmlcli.label_embeddings.word_centroids import label_frequencies, word_centroids
from xmlcli.prediction.combination import DEFAULT, take_top_k
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.scores import Scores
from xmlcli.shortlists.word_index import WordIndex

L = LABELS


def an_engine(size: int) -> Engine:
    model = bent_model(GELU)
    words, frequencies, Z = word_centroids(X, Y, None), label_frequencies(Y), unit_rows(L, 8, 0)
    bonus = 0.02 * np.log1p(frequencies)
    index = WordIndex(words, bonus=bonus, searchable=np.arange(L) != 4, in_order=False, rerank_by=(Z, 0.1))
    weight, bias = unit_rows(L, 8, 1), np.linspace(-1, 1, L, dtype=np.float32)
    scores = Scores(weight, bias, Z, frequencies, None, None)
    return Engine(DocumentEncoder.of(arrays(model), "gelu"), index, scores, size, DEFAULT)


@pytest.mark.parametrize(("size", "k"), [(5, 3), (9, 9), (2, 4)])
def test_an_engine_ranks_what_its_parts_give(size: int, k: int) -> None:
    engine, model = an_engine(size), bent_model(GELU)
    documents = encode(model.encoder, X)
    candidates, near = engine.index.search(unit(documents), size, X=X)
    parts = engine.scores(X, documents.numpy(), candidates) | {"search": np.where(candidates < L, near, 0)}
    shortlist, scores = engine.score(X)
    assert shortlist.tolist() == candidates.tolist()
    assert scores.keys() == parts.keys()
    assert all(np.allclose(scores[name], part, atol=1e-4) for name, part in parts.items())
    wanted, best = take_top_k(DEFAULT.combine(parts, candidates, L), candidates, k, L)
    labels, found = engine.top_k(X, k)
    assert (labels.dtype, found.dtype) == (np.int32, np.float32)
    assert labels.tolist() == wanted.tolist()
    assert np.allclose(found, best, atol=1e-4)
    assert not (labels == 4).any()


def test_blocks_of_documents_rank_like_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seen = an_engine(5), []
    labels, best = engine.top_k(X, 7)
    monkeypatch.setattr("xmlcli.prediction.engine._BLOCK", 16)
    again, scores = engine.top_k(X, 7, progress=lambda *report: seen.append(report))
    assert labels.tolist() == again.tolist()
    assert np.allclose(best, scores, atol=1e-6)
    assert seen == [("predict", done, 60) for done in (16, 32, 48, 60)]


def test_no_documents_are_ranked_to_no_rows() -> None:
    labels, best = an_engine(5).top_k(sp.csr_matrix((0, X.shape[1]), dtype=np.float32), 3)
    assert labels.shape == best.shape == (0, 3)


def test_prediction_imports_no_torch() -> None:
    code = "import sys, xmlcli.prediction.engine, xmlcli.storage.artifacts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
