"""From the artifacts of a run to an Engine: what the stage evaluate measures, and what prediction uses.

Nothing here trains or fits, so prediction imports neither torch nor the code that fits combinations.
"""

from __future__ import annotations

from typing import NamedTuple

from xmlcli.arrays import Array
from xmlcli.classifiers.tensor_names import has_label_rows
from xmlcli.config.sections import Config
from xmlcli.distributed.ranks import ALONE, Ranks
from xmlcli.encoder.numpy_encoder import DocumentEncoder
from xmlcli.label_embeddings.word_centroids import without_smallest
from xmlcli.prediction.combination import Combination
from xmlcli.prediction.engine import Engine
from xmlcli.prediction.scores import Scores
from xmlcli.prediction.sharded_scores import ShardedScores
from xmlcli.prediction.votes import Voters, make_voters
from xmlcli.shortlists.make_index import make_index, searchable_labels
from xmlcli.stages.inputs import (
    all_rows,
    frequencies_of,
    label_text,
    label_vectors,
    learnt_from,
    name_stems_of,
    own_documents,
)
from xmlcli.storage.artifacts import Artifact


class ModelArtifacts(NamedTuple):
    """What a model is put together from."""

    prepared: Artifact
    clf: Artifact
    labels: Artifact


def load_engine(
    artifacts: ModelArtifacts, config: Config, combination: Combination | None = None, ranks: Ranks = ALONE,
    device: str = "cpu",
) -> Engine:  # fmt: skip
    """Put the model together; of several ranks each loads its labels.

    Without a combination there are voters wherever they may be used, to find out whether they pay. `device` is where
    dense embeddings are searched.
    """
    prepared, clf, labels = artifacts
    L, documents = prepared.dims["L"], learnt_from(clf)
    share, tensors = ranks.share(L), _own_tensors(clf, L, ranks)
    encoder = DocumentEncoder.of(tensors, config.model.activation)
    count = most_voters(config) if combination is None else combination.voters
    voters = _load_voters(artifacts, encoder, config, count, ranks) if count else None  # first: takes most memory
    frequencies = frequencies_of(prepared.csr_rows("Y_train.npz", ranks.share(documents)), ranks)
    vectors = label_vectors(prepared, labels, documents, config.shortlist, ranks)
    searchable = searchable_labels(frequencies[share], config.shortlist)
    scores = Scores(
        tensors["classifiers.weight"],
        tensors["classifiers.bias"][:, 0],
        vectors.Z,
        frequencies[share],
        clf.csr_rows("linear.npz", share) if clf.has("linear.npz") else None,
        label_text(prepared, ranks),
        name_stems_of(prepared, ranks) if combination is None or combination.uses_names() else None,
    )
    return Engine(
        encoder,
        make_index(vectors, searchable, config.shortlist, in_order=False, device=device, ranks=ranks),
        scores if ranks.size == 1 else ShardedScores(scores, frequencies, ranks),
        min(config.shortlist.size, L),
        combination,
        voters,
        ranks=ranks,
    ).with_unseen(config.shortlist)


def most_voters(config: Config) -> int:
    """Return how many training documents vote where that pays."""
    can_vote = config.evaluate.combination == "logistic" and config.shortlist.backend == "words"
    return (config.evaluate.voters or 0) if can_vote else 0


def _own_tensors(clf: Artifact, num_labels: int, ranks: Ranks) -> dict[str, Array]:
    """Return the encoder and this rank's classifiers, as arrays by name."""
    name = "model.safetensors"
    if ranks.size == 1:
        return clf.numpy_tensors(name)
    return clf.tensor_rows(name, ranks.share(num_labels), has_label_rows, "numpy")


def _load_voters(
    artifacts: ModelArtifacts, encoder: DocumentEncoder, config: Config, count: int, ranks: Ranks
) -> Voters:
    """Let the documents vote that the model has learnt from.

    Of several ranks each has those it owns, and reads others' labels as needed.
    """
    prepared, documents = artifacts.prepared, learnt_from(artifacts.clf)
    words, Y = own_documents(prepared, slice(0, documents), ranks)
    words = without_smallest(words)  # the larger ones are let go
    labels = all_rows(prepared, "Y_train.npz", Y, documents, ranks)
    return make_voters(words, encoder.unit, labels, config.shortlist, count, ranks)
