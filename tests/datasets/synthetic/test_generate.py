"""Generated collections: the same bytes each time, of the promised shape, and with something in them to learn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

from xmlcli.cli import app
from xmlcli.datasets.find import locate
from xmlcli.datasets.formats.raw import RawDataset
from xmlcli.datasets.load import read_dataset
from xmlcli.datasets.synthetic import generate as generator
from xmlcli.datasets.synthetic.generate import Parameters, draw_documents, generate, make_world
from xmlcli.features.tfidf import FeatureConfig, TextFeatures, inverse_document_frequency
from xmlcli.kernels.row_weights import weigh_rows
from xmlcli.label_embeddings.word_centroids import word_centroids

run = CliRunner().invoke
SMALL = Parameters(num_labels=400, num_documents=2_000, num_test=300)


def invoke(*words: str) -> str:
    result = run(app, ["generate", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.mark.parametrize("form", [[], ["--text"]])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, form: list[str]) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        invoke(str(tmp_path / name), "--labels", "300", "--seed", seed, *form)
    a, b, c = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[name] != c[name] for name in a)


@pytest.mark.parametrize(("form", "layout"), [([], "pecos"), (["--text"], "lf-raw")])
def test_the_folder_holds_what_it_says(tmp_path: Path, form: list[str], layout: str) -> None:
    printed = invoke(str(tmp_path / "out"), "--labels", "120", "--documents", "90", *form)
    assert "90 training and 9 test documents, 120 labels" in printed
    folder = locate(str(tmp_path / "out"), [])
    dataset = read_dataset(folder)
    note = json.loads((tmp_path / "out" / "generated.json").read_text())
    assert folder.layout == layout
    assert dataset.test is not None
    Y, Y_test = dataset.train.Y, dataset.test.Y
    assert (note["training_documents"], note["labels"], note["training_pairs"]) == (*Y.shape, Y.nnz)
    assert (note["test_documents"], note["labels"], note["test_pairs"]) == (*Y_test.shape, Y_test.nnz)
    assert note["labels_without_documents"] == (Y.getnnz(axis=0) == 0).sum() > 0
    if dataset.train.X is not None:
        assert note["words"] == dataset.train.X.shape[1]
        assert dataset.train.X.getnnz(axis=1).min() > 0
    assert (dataset.label_names is not None) == bool(form)


def test_documents_are_alike_as_texts_and_as_matrices() -> None:
    matrices, texts = generate(SMALL), generate(SMALL, as_text=True)
    assert matrices.train.X is not None
    assert texts.train.texts is not None
    assert texts.label_names is not None
    assert len(set(texts.label_names)) == SMALL.num_labels
    assert (matrices.train.Y != texts.train.Y).nnz == 0
    X = matrices.train.X[:, matrices.train.X.getnnz(axis=0) > 1]
    _, theirs = TextFeatures.fit_transform(texts.train.texts, FeatureConfig(min_df=2, use_idf=False))
    np.testing.assert_array_equal(np.sort(X.getnnz(axis=0)), np.sort(theirs.getnnz(axis=0)))
    ours = weigh_rows(X, None)
    np.testing.assert_allclose((ours @ ours[:20].T).toarray(), (theirs @ theirs[:20].T).toarray(), atol=1e-5)


def test_chunks_are_documents_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_CHUNK", 700)
    found = generate(SMALL, as_text=True).train
    assert found.texts is not None
    assert len(found.texts) == found.Y.shape[0] == SMALL.num_documents
    assert (np.diff(found.Y.indptr) > 0).all()
    lengths = [len(text.split()) for text in found.texts]
    assert lengths[:300] != lengths[700:1000]


def test_words_are_common_or_noise_or_of_the_documents_labels() -> None:
    p = replace(SMALL, num_labels=5_000)
    world = make_world(p)
    documents = draw_documents(world, p, world.anchors, np.random.default_rng(0))
    strange = 0
    for words, labels in zip(
        np.split(documents.words, documents.word_start[1:-1]),
        np.split(documents.labels, documents.label_start[1:-1]),
        strict=True,
    ):
        topic = world.topic_words[labels // 50]
        known = np.concatenate([np.arange(p.num_words // 8), world.own_words[labels].ravel(), topic.ravel()])
        strange += (~np.isin(words, known)).sum()
    assert strange / len(documents.words) == pytest.approx(0.05 * 7 / 8, abs=0.005)


def test_label_frequencies_follow_zipfs_law() -> None:
    frequency = np.sort(generate(Parameters(20_000, 200_000, 1)).train.Y.getnnz(axis=0))[::-1]
    ranks = np.arange(20, 2_000)  # the offset bends the head
    slope = np.polyfit(np.log(ranks), np.log(frequency[ranks]), 1)[0]
    assert -1.1 < slope < -0.8
    assert frequency[0] < 0.05 * 200_000


def test_most_labels_are_rare_and_none_without_documents() -> None:
    frequency = np.sort(generate(Parameters(20_000, 20_000, 1)).train.Y.getnnz(axis=0))[::-1]
    assert frequency[-1] == 1
    assert 0.8 < (frequency <= 3).mean() < 0.95
    assert frequency[10] > 100


def test_labels_lengths_and_words_are_distributed_as_described() -> None:
    p = replace(SMALL, num_labels=5_000)
    world = make_world(p)
    documents = draw_documents(world, p, np.arange(5_000), np.random.default_rng(0))
    labels = np.diff(documents.label_start)
    assert set(labels) == {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(documents.labels[documents.label_start[:-1]], np.arange(5_000))
    lengths = np.diff(documents.word_start)
    assert np.median(lengths) == pytest.approx(20, abs=1)
    assert 8 < np.quantile(lengths, 0.05) < 10
    assert (documents.words < p.num_words // 8).mean() == pytest.approx(0.35, abs=0.02)
    longer = draw_documents(world, replace(p, median_words=100), np.arange(500), np.random.default_rng(0))
    assert np.median(np.diff(longer.word_start)) == pytest.approx(100, abs=6)
    rare = np.sort(np.bincount(documents.words, minlength=p.num_words))[::-1]
    assert rare[0] > 50 * max(1, rare[len(rare) // 2])  # words have a long tail too
    assert Parameters(10**6, 1, 1).num_words < 30 * Parameters(10**4, 1, 1).num_words


def nearest_centroid(dataset: RawDataset, Y: sp.csr_matrix) -> float:
    """P@1 on test documents of the label whose training documents, by Y (N, L), have the nearest word centroid."""
    assert dataset.train.X is not None
    assert dataset.test is not None
    idf = inverse_document_frequency(dataset.train.X)
    X, X_test = weigh_rows(dataset.train.X, idf), weigh_rows(dataset.test.X, idf)
    best = (X_test @ word_centroids(X, Y, None).T).toarray().argmax(axis=1)
    return float(np.asarray(dataset.test.Y[np.arange(len(best)), best]).mean())


def test_the_planted_labels_can_be_found_by_their_words() -> None:
    dataset = generate(SMALL)
    Y = dataset.train.Y
    assert dataset.test is not None
    most_frequent = int(Y.getnnz(axis=0).argmax())
    chance = dataset.test.Y[:, most_frequent].mean()
    shuffled = Y[np.random.default_rng(0).permutation(Y.shape[0])]
    assert chance < 0.1
    assert nearest_centroid(dataset, shuffled) < 0.1
    assert nearest_centroid(dataset, Y) > 0.6


def test_rare_labels_can_be_found_too() -> None:
    dataset = generate(Parameters(num_labels=1_500, num_documents=1_500, num_test=500))
    assert dataset.test is not None
    rare = dataset.train.Y.getnnz(axis=0) <= 2
    only_rare = dataset.test.Y[:, rare].getnnz(axis=1) == dataset.test.Y.getnnz(axis=1)
    assert only_rare.sum() > 30
    picked = replace(dataset, test=replace(dataset.test, X=dataset.test.X[only_rare], Y=dataset.test.Y[only_rare]))
    assert nearest_centroid(picked, dataset.train.Y) > 0.25


def test_a_target_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(app, ["generate", str(tmp_path), "--labels", "10"])
    assert "in the way" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert run(app, ["generate", str(tmp_path / "out"), "--labels", "0"]).exit_code == 2


def test_one_label_and_one_document_are_enough(tmp_path: Path) -> None:
    invoke(str(tmp_path / "out"), "--labels", "1", "--documents", "1")
    dataset = read_dataset(locate(str(tmp_path / "out"), []))
    assert dataset.train.Y.shape == (1, 1)
