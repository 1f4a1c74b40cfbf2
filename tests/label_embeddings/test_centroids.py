"""Label centroids against loops."""

from __future__ import annotations

import numpy as np
import torch
from support.carried_labels import problem

from xmlcli.label_embeddings.centroids import Centroids


def test_centroids_are_means_of_the_documents_of_a_label() -> None:
    documents, Y = problem()
    centroids = Centroids(documents, Y, None)
    dense = Y.toarray()
    for label, mean in enumerate(centroids.means()):
        own = [documents[i] for i in range(40) if dense[i, label]]
        assert torch.allclose(mean, torch.stack(own).mean(dim=0) if own else torch.zeros(6), atol=1e-6)
    assert centroids.counts.tolist() == dense.sum(axis=0).tolist()


def test_a_labels_text_counts_as_one_more_document() -> None:
    documents, Y = problem()
    texts = torch.zeros(9, 6)
    texts[[0, 8]] = torch.arange(12.0).reshape(2, 6)
    plain, centroids = Centroids(documents, Y, None), Centroids(documents, Y, texts)
    n = plain.counts[0]
    assert torch.allclose(centroids.means()[0], (n * plain.means()[0] + texts[0]) / (n + 1), atol=1e-6)
    assert torch.equal(centroids.means()[8], texts[8])
    assert torch.equal(centroids.means()[1], plain.means()[1])
    assert (centroids.counts - plain.counts).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_centroid_without_a_document_is_the_mean_of_the_others() -> None:
    documents, Y = problem()
    dense, centroids = Y.toarray(), Centroids(documents, Y, None)
    rows, columns = dense.nonzero()
    found = centroids.means_without(columns.astype(np.int64), documents[rows])
    for i, label, mean in zip(rows, columns, found, strict=True):
        others = [documents[j] for j in range(40) if dense[j, label] and j != i]
        assert torch.allclose(mean, torch.stack(others).mean(dim=0) if others else torch.zeros(6), atol=1e-5)
