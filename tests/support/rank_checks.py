"""What three ranks exchange; run by torchrun from test_ranks.py, each rank checks for itself."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from support.fake_stages import drawn_state, make_config
from support.planted_data import collection, sparse_rows, unit_rows

from xmlcli.classifiers import label_gradients
from xmlcli.classifiers.data import TrainingData
from xmlcli.classifiers.one_vs_rest import LinearTraining, stack
from xmlcli.classifiers.schedule import Schedule
from xmlcli.classifiers.sharded_problems import own_problems
from xmlcli.classifiers.tensor_names import has_label_rows
from xmlcli.classifiers.training import train
from xmlcli.config.sections import ModelConfig
from xmlcli.distributed.launch import joined
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.encoder.spectral_start import right_singular_vectors
from xmlcli.features.name_stems import name_stems
from xmlcli.features.tfidf import FeatureConfig, TextFeatures
from xmlcli.label_embeddings.centroids import Centroids
from xmlcli.label_embeddings.proxy import ProxyMap, embed_labels, train_proxy
from xmlcli.label_embeddings.word_centroids import word_centroids
from xmlcli.prediction.scores import Scores
from xmlcli.prediction.sharded_scores import ShardedScores
from xmlcli.prediction.unseen import make_unseen
from xmlcli.prediction.votes import make_voters
from xmlcli.shortlists.make_index import SearchVectors, make_index, make_word_index, searchable_labels
from xmlcli.storage import files, row_files


def check_exchanges(ranks: Ranks) -> None:
    share = ranks.share(10)
    table = np.arange(30, dtype=np.float32).reshape(10, 3)
    assert ranks.bounds(10).tolist() == [0, 3, 6, 10]
    assert ranks.owners(np.array([0, 2, 3, 9, 10]), 10).tolist() == [0, 0, 1, 2, 3]
    assert ranks.all_gather_rows(table[share]).tolist() == table.tolist()
    parts = ranks.all_gather(np.full(ranks.rank, ranks.rank), np.ones((1, 2), np.float32))
    assert [part[0].tolist() for part in parts] == [[], [1], [2, 2]]
    assert all(part[1].shape == (1, 2) for part in parts)
    matrix = sparse_rows(10, 7, 3, np.random.default_rng(0))
    assert (ranks.all_gather_csr(matrix[share]) != matrix).nnz == 0
    rows = np.array([9, 0, 5, 5])
    assert ranks.fetch_same_rows(table[share], rows, 10).tolist() == table[rows].tolist()
    assert ranks.fetch_same_rows(torch.from_numpy(table[share]), rows, 10).tolist() == table[rows].tolist()
    other = np.array([[0, 9], [2, 3, 4], []][ranks.rank], np.int64)  # other rows on each rank
    assert ranks.fetch_rows(table[share], other, 10).tolist() == table[other].tolist()
    assert ranks.max_over_ranks(ranks.rank) == 2
    got = ranks.all_to_all([[np.full(r + 1, 10 * ranks.rank + r)] for r in range(3)])
    assert [part[0].tolist() for part in got] == [[10 * r + ranks.rank] * (ranks.rank + 1) for r in range(3)]
    assert ranks.all_reduce_sum(np.array([ranks.rank, 1.0])).tolist() == [3, 3]
    assert ranks.all_reduce_max(np.array([ranks.rank, -ranks.rank])).tolist() == [2, 0]
    assert ranks.broadcast(lambda: {"from": ranks.rank}) == {"from": 0}
    assert ranks.sent > 0
    few = np.arange(2)  # fewer rows than ranks
    assert ranks.fetch_same_rows(few[ranks.share(2)], np.array([1, 0]), 2).tolist() == [1, 0]
    assert ranks.all_gather_rows(few[ranks.share(2)]).tolist() == [0, 1]


def check_search(ranks: Ranks) -> None:
    """Shortlists and scores of three ranks are those of one."""
    rng = np.random.default_rng(3)
    L, F, N, k = 50, 40, 20, 8
    words, X = sparse_rows(L, F, 5, rng), sparse_rows(N, F, 6, rng)
    Z, documents = unit_rows(L, 6, 1), unit_rows(N, 6, 2)
    frequencies = rng.integers(0, 4, L).astype(np.float32)
    bonus = (0.1 * np.log1p(frequencies)).astype(np.float32)
    mine, rows = ranks.share(L), ranks.share(N)
    for changes in ({}, {"mask_unseen": False}, {"vectors": 0.0}, {"backend": "exact"}):
        config = replace(make_config().shortlist, **changes)
        searchable = searchable_labels(frequencies, config)
        whole = make_index(SearchVectors(Z, bonus, words), searchable, config)
        index = make_index(SearchVectors(Z[mine], bonus[mine], words[mine]), searchable[mine], config, ranks=ranks)
        for length in (k, L):
            wanted, found = (i.search(documents[r], length, X=X[r]) for i, r in ((whole, rows), (index, rows)))
            assert found[0].tolist() == wanted[0].tolist()
            assert np.allclose(found[1], wanted[1], atol=1e-5)
    config, found = make_config().shortlist, []
    searchable = searchable_labels(frequencies, config)
    for who, own in ((ranks, mine), (ALONE, slice(L))):
        word_index = make_word_index(SearchVectors(Z[own], bonus[own], words[own]), searchable[own], config, ranks=who)
        retrieved = word_index.retrieve(X[rows], k)
        order = np.argsort(retrieved.labels, axis=1)
        found.append([
            *word_index.reranker.rerank(retrieved, documents[rows], k),
            *(np.take_along_axis(table, order, axis=1) for table in retrieved),
        ])  # fmt: skip
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


def check_scores(ranks: Ranks) -> None:
    """Scores of candidates, and labels without documents, of three ranks are those of one."""
    rng = np.random.default_rng(4)
    L, F, N, k = 50, 40, 20, 8
    X, linear = sparse_rows(N, F, 6, rng), sparse_rows(L, F + 1, 5, rng)
    Z, documents, W = unit_rows(L, 6, 1), unit_rows(N, 6, 2), unit_rows(L, 6, 3)
    frequencies, bias = rng.integers(0, 4, L).astype(np.float32), rng.random(L).astype(np.float32)
    mine, rows = ranks.share(L), ranks.share(N)
    candidates = np.argsort(rng.random((N, L)), axis=1)[:, :k].astype(np.int32)
    candidates[3, 4:] = L
    features = TextFeatures(FeatureConfig(), [f"w{f}" for f in range(F)], np.linspace(1, 3, F, dtype=np.float32))
    names = [" ".join(f"w{f} " for f in rng.integers(0, F, 3)) + f"(w{label % F})" for label in range(L)]
    stems, own_stems = name_stems(features, names), name_stems(features, names[mine])
    one = Scores(W, bias, Z, frequencies, linear, None, stems)(X, documents, candidates)
    own = Scores(W[mine], bias[mine], Z[mine], frequencies[mine], linear[mine], None, own_stems)
    several = ShardedScores(own, frequencies, ranks)(X[rows], documents[rows], candidates[rows])
    there = candidates[rows] < L
    assert one.keys() == several.keys()
    assert all(np.allclose(several[name][there], one[name][rows][there], atol=1e-5) for name in one)
    text, of_unseen = sparse_rows(L, F, 4, rng), make_config().shortlist
    of_unseen = replace(of_unseen, mask_unseen=True, unseen_labels=True)
    vectors = np.random.default_rng(5).standard_normal((F, 6)).astype(np.float32)

    def encode(rows: sp.csr_matrix) -> np.ndarray:
        return np.asarray(rows @ vectors, np.float32)

    one = make_unseen(Scores(W, bias, Z, frequencies, linear, text, stems), encode, of_unseen)
    own_text = Scores(W[mine], bias[mine], Z[mine], frequencies[mine], linear[mine], text[mine], own_stems)
    several = make_unseen(ShardedScores(own_text, frequencies, ranks), encode, of_unseen)
    wanted, found = one.score(X, documents), several.score(X[rows], documents[rows])
    order, own_order = np.argsort(wanted[0], axis=1)[rows], np.argsort(found[0], axis=1)
    assert (np.take_along_axis(wanted[0][rows], order, 1) == np.take_along_axis(found[0], own_order, 1)).all()
    assert set(np.unique(wanted[0])) <= {*np.flatnonzero(frequencies == 0), L}
    for name, scored in wanted[1].items():
        a, b = np.take_along_axis(scored[rows], order, 1), np.take_along_axis(found[1][name], own_order, 1)
        assert np.allclose(a, b, atol=1e-5), name
    own = replace(own_text, label_text=None)
    one = Scores(W, bias, Z, frequencies, linear, None, stems)(X, documents, candidates)
    nothing = ShardedScores(own, frequencies, ranks)(X[:0], documents[:0], candidates[:0])
    assert {name: scores.shape for name, scores in nothing.items()} == dict.fromkeys(one, (0, k))


def check_votes(ranks: Ranks) -> None:
    """Training documents of three ranks give the votes of one's."""
    (X, Y), (queries, _) = collection(40, 9, 0), collection(20, 9, 1)
    Z, documents, candidates = unit_rows(40, 6, 0), unit_rows(20, 6, 1), np.tile(np.arange(10, dtype=np.int32), (20, 1))
    config = make_config().shortlist
    wanted = make_voters(X, lambda _: Z, Y, config, 5)(queries, documents, candidates)
    mine, rows = ranks.share(40), ranks.share(20)
    found = make_voters(X[mine], lambda _: Z[mine], Y, config, 5, ranks)(
        queries[rows], documents[rows], candidates[rows]
    )
    assert np.allclose(found, wanted[rows], atol=1e-4)
    assert wanted.max() > 0.5


def check_spectrum(ranks: Ranks) -> None:
    """The singular vectors of three ranks' rows are those of the whole matrix, signs included."""
    for L, F in ((60, 25), (25, 60), (30, 30), (12, 40), (40, 15)):
        matrix = collection(L, F // 5, 1, words=4, noise=F - 4 * (F // 5))[0]
        rank = min(5, L, F)
        found = right_singular_vectors(matrix[ranks.share(L)], rank, 3, ranks)
        assert np.allclose(found, right_singular_vectors(matrix, rank, 3), atol=2e-3), (L, F)


def check_training(ranks: Ranks) -> None:
    """Three ranks make the steps of one, and a rank has the classifiers of its labels; the sparse part is the same."""
    X, Y = collection(150, 20, 0)
    X, Y = X.tolil(), Y.tolil()
    X[7], Y[11] = 0, 0  # documents that are left out
    X, Y = X.tocsr(), Y.tocsr()
    shortlist = np.argsort(np.random.default_rng(1).random((150, 20)), axis=1)[:, :12].astype(np.int32)
    shortlist[::3, 6:] = 20
    mine = ranks.share(20)
    label_gradients.matrix_dtype = lambda device: torch.float32
    encoder = ModelConfig(dim=16, start="spectral", document_norm=0.5, activation="gelu", dropout=0.3, residual=True)
    for changes in ({}, {"negatives": "document", "max_positives": 2}, {"optimiser": "adam"}):
        config = replace(
            make_config().clf, epochs=2, min_documents=0, batch_size=32, min_batches=1, random_negatives=3,
            hard_negatives=4, learning_rate=0.02, **changes,
        )  # fmt: skip
        models = []
        for who in (ALONE, ranks):
            data = TrainingData.of(X, Y, shortlist, who)
            share = who.share(20)
            model = drawn_state(X.shape[1], share.stop - share.start, encoder, config.optimiser)
            model.classifiers.start_random(0, before=share.start, after=20 - share.stop)
            train(model, data, Schedule.of(data.num_documents, 1, config), cycle=1, seed=7)
            models.append(model.tensors() | model.optimiser_tensors())
        assert len(data.rows) in (49, 50)
        for name, tensor in models[0].items():
            wanted = tensor[mine] if has_label_rows(name) else tensor
            assert wanted.shape == models[1][name].shape
            assert torch.allclose(models[1][name].double(), wanted.double(), atol=2e-4), (changes, name)
    words = word_centroids(X, Y, None)
    whole = TrainingData.of(X, Y, shortlist)
    one = LinearTraining(whole.X, own_problems(whole, whole.X), words, make_config().linear)
    several = LinearTraining(X, own_problems(data, X), words[mine], make_config().linear, first_label=mine.start)
    found = [stack(training.finish(), X.shape[1]) for training in (one, several)]
    assert abs(found[0][mine] - found[1]).max() == 0


def check_embeddings(ranks: Ranks) -> None:
    """Three ranks train the proxy map of one."""
    _, Y = collection(60, 10, 2)
    documents = torch.from_numpy(unit_rows(60, 8, 0))
    texts = torch.from_numpy(unit_rows(10, 8, 1))
    texts[4] = 0
    mine, own = ranks.share(10), ranks.share(60)
    of_labels = np.flatnonzero(Y[:, mine].getnnz(axis=1))
    for leave_one_out in (True, False):
        config = replace(make_config().proxy, batch_size=16, max_pairs=50, leave_one_out=leave_one_out)
        found = []
        for who in (ALONE, ranks):
            rows = np.arange(60) if who is ALONE else of_labels
            labels, given = (slice(0, 10), slice(0, 60)) if who is ALONE else (mine, own)
            vectors = torch.from_numpy(who.fetch_rows(documents[given].numpy(), rows, 60))
            centroids = Centroids(vectors, Y[rows][:, labels], texts[labels], who)
            g, rng = ProxyMap(8, config, seed=0), np.random.default_rng(0)
            loss = train_proxy(g, documents[given], centroids, Y, config, generator=rng, ranks=who)
            found.append((loss, embed_labels(g, centroids, has_map=True)))
        assert np.isclose(found[0][0], found[1][0])
        assert np.allclose(found[0][1][mine], found[1][1], atol=1e-5)


def check_files(ranks: Ranks, folder: Path) -> None:
    matrix, array = sparse_rows(10, 30, 4, np.random.default_rng(1)), np.random.default_rng(2).random((10, 3))
    tensors = {"weight": torch.arange(40.0).reshape(10, 4), "steps": torch.tensor([5])}
    share = ranks.share(10)
    row_files.save_csr_rows(folder / "r.npz", matrix[share], ranks)
    row_files.save_rows(folder / "r.npy", array[share], ranks)
    row_files.save_tensor_rows(
        folder / "r.safetensors", {**tensors, "weight": tensors["weight"][share]}, {"weight"}, ranks
    )
    if ranks.is_first:
        files.save_csr(folder / "w.npz", matrix)
        np.save(folder / "w.npy", array)
        files.save_tensors(folder / "w.safetensors", tensors)
        for suffix in ("npz", "npy", "safetensors"):
            assert (folder / f"r.{suffix}").read_bytes() == (folder / f"w.{suffix}").read_bytes()


if __name__ == "__main__":
    with joined("cpu", print_error=lambda line: print(line, file=sys.__stderr__)) as everyone:
        check_exchanges(everyone)
        check_search(everyone)
        check_scores(everyone)
        check_votes(everyone)
        check_spectrum(everyone)
        check_embeddings(everyone)
        check_training(everyone)
        check_files(everyone, Path(sys.argv[1]))
