"""The settings of a run as frozen sections: what each key of a pipeline file means, its unit and its range.

The fields are the documentation of the file; this stands here and nowhere else. `xmlcli.config.schema` says which types
and rules a field may have, `xmlcli.config.load` reads the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Annotated, Any

from xmlcli.config.schema import Length, OneOf, OnlyWith, Range

THOUSAND, MILLION, BILLION = 10**3, 10**6, 10**9
Count = Annotated[int, Range(1, BILLION)]
"""Of documents, words, weights or pairs: more than any collection has, and fit for 32 bits."""
CountOrZero = Annotated[int, Range(0, BILLION)]
BatchSize = Annotated[int, Range(1, MILLION)]
Epochs = Annotated[int, Range(0, 10 * THOUSAND)]
Cut = Annotated[int, Range(1, 100 * THOUSAND)]
"""Labels a document: a shortlist's, a ranking's."""
Text = Annotated[str, Length(0, THOUSAND)]
Share = Annotated[float, Range(0.0, 1.0)]
Rate = Annotated[float, Range(1e-8, 100.0)]


@dataclass(frozen=True)
class PrepareConfig:
    """Stage prepare: from a raw dataset to features, labels and the validation split."""

    max_documents: Count | None
    """Read only so many training documents, the first ones of the file; null reads all."""
    text_column: Text
    """Tables only (CSV, JSONL, Parquet): the column with the text; several, joined, if separated by commas."""
    labels_column: Text
    """Tables only: the column with the labels."""
    label_separator: Annotated[str, Length(1, THOUSAND)]
    """Tables only: what separates the labels of a document where they are no list."""
    group_column: Text | None
    """Tables only: the column that tells which documents belong together (one author's, one title's); the parts that
    are set aside for test and validation hold whole groups. null: each document for itself."""
    test_fraction: Annotated[float, Range(0.0, 0.5)]
    """Tables without a test file only: share of the documents set aside for test, drawn at random; 0: none."""
    validation_fraction: Annotated[float, Range(0.0, 0.5)]
    """Share of the training documents set aside for validation, drawn at random."""
    validation_documents: CountOrZero
    """At most so many validation documents."""
    char_ngrams: Annotated[int, Range(2, 4)] | None
    """Raw text only: n of the words' character n-grams, which are features beside the words; null for words only."""
    char_ngrams_below: Count
    """Raw text only: texts of so many words on average, or more, get words only."""
    min_df: Count
    """Raw text only: documents a feature must occur in."""
    sublinear_tf: bool
    """Raw text only: use 1 + ln(tf) instead of the count."""
    use_idf: bool
    """Weigh features by their inverse document frequency."""


@dataclass(frozen=True)
class ModelConfig:
    """The encoder and the classifiers as they start, made by stage init-clf."""

    dim: Annotated[int, Range(2, 8192)]
    """Embedding width D."""
    start: Annotated[str, OneOf("spectral", "random")]
    """spectral: token vectors from the labels' word centroids, classifiers at the labels' frequencies; random: the
    authors' start."""
    document_norm: Annotated[float, Range(1e-3, 1e3), OnlyWith("start", "spectral")]
    """Mean length of a document's sum of token vectors at the start; small, so that training moves them far."""
    activation: Annotated[str, OneOf("gelu", "relu")]
    """Applied to the sum of token vectors."""
    dropout: Share
    """Share of a document vector's entries dropped in training."""
    residual: bool
    """Add the residual block to the sum of token embeddings."""


@dataclass(frozen=True)
class ProxyConfig:
    """Phase 1, stage embed-labels: the map from label centroids to label embeddings."""

    epochs: Epochs
    """Passes over the (document, label) pairs; 0 leaves the plain centroids."""
    learning_rate: Rate
    """Adam's rate."""
    decay: bool
    """Let the rate fall to zero over the epochs."""
    batch_size: BatchSize
    """Pairs a step."""
    max_pairs: Count
    """At most so many pairs an epoch, drawn anew each time."""
    start: Annotated[str, OneOf("identity", "random")]
    """identity: one linear layer that starts as it; random: two linear layers from torch's start."""
    hidden: Annotated[int, Range(1, 100 * THOUSAND), OnlyWith("start", "random")]
    """Width between the two layers."""
    unit_vectors: bool
    """Use document vectors of unit length."""
    leave_one_out: bool
    """Take a pair's document out of its label's centroid."""
    label_text: bool
    """Count a label's own text as one more document of it; a label without documents then has an embedding."""
    priors: tuple[Annotated[float, Range(0.0, 10.0)], ...]
    """Bonus of a label with n of N documents: prior * ln(1 + n) + base_rate * n / N, added to its cosine. Of all pairs
    the one whose shortlists have the largest recall on validation is taken, the first without validation documents."""
    base_rates: tuple[Annotated[float, Range(0.0, 10.0)], ...]
    """See `priors`."""


@dataclass(frozen=True)
class ShortlistConfig:
    """Phase 2, stage shortlist: nearest label embeddings of every document."""

    backend: Annotated[str, OneOf("words", "exact", "nmslib")]
    """words: by word centroids, the dense embeddings decide among the nearest; exact, nmslib: by dense embeddings
    alone, by blocked products or an HNSW graph."""
    vectors: Annotated[float, Range(0.0, 10.0), OnlyWith("backend", "words")]
    """Share of the dense embeddings' cosine in the score."""
    size: Cut
    """Labels a document, k."""
    mask_unseen: bool
    """Leave labels without documents out of the search."""
    unseen_labels: Annotated[bool, OnlyWith("mask_unseen", True)]
    """Search labels without documents apart from the others, by their text, where labels have text."""
    M: Annotated[int, Range(2, 1000), OnlyWith("backend", "nmslib")]
    """HNSW: links a label."""
    ef_construction: Annotated[int, Range(1, MILLION), OnlyWith("backend", "nmslib")]
    """HNSW: candidates held while building."""
    ef_search: Annotated[int, Range(1, MILLION), OnlyWith("backend", "nmslib")]
    """HNSW: candidates held while searching."""


@dataclass(frozen=True)
class ClfConfig:
    """Phase 3, stage train-clf: encoder and classifiers on the shortlists."""

    epochs: Epochs
    """Passes over the documents in each cycle."""
    min_documents: CountOrZero
    """More epochs until so many documents have been seen over all cycles."""
    max_epochs: Epochs
    """Never more passes in a cycle."""
    batch_size: BatchSize
    """Documents a step."""
    min_batches: Annotated[int, Range(1, MILLION)]
    """Smaller batches until an epoch has so many."""
    optimiser: Annotated[str, OneOf("adam", "rmsprop")]
    """Of token vectors and classifiers: Adam on the batch's rows, or RMSprop (Adam without momentum)."""
    learning_rate: Rate
    """Of classifiers, and of token vectors unless `token_rate_documents` says otherwise."""
    token_rate_documents: Count | None
    """Training documents for which token vectors have that rate; four times as many halve it; null: always."""
    schedule: Annotated[str, OneOf("linear", "halving")]
    """linear: warm up over a twentieth of all steps, then fall to a fiftieth; halving: the authors' schedule."""
    halve_after: Annotated[int, Range(1, MILLION), OnlyWith("schedule", "halving")]
    """Epochs until the rate is first halved."""
    negatives: Annotated[str, OneOf("batch", "document")]
    """batch: every label the batch's shortlists name is a negative of all its documents; document: only of its own."""
    hard_negatives: Annotated[int, Range(0, 100 * THOUSAND), OnlyWith("negatives", "batch")]
    """Nearest shortlisted labels of each document that join the batch's labels."""
    random_negatives: Annotated[int, Range(0, MILLION)]
    """Labels drawn at random that join the batch's labels."""
    max_positives: Count | None
    """Draw so many of a document's labels each time, the others may be negatives, as the authors do; null keeps all."""
    checkpoint_seconds: Annotated[float, Range(0.0, 1e9)]
    """Save the state for resuming when so much time has passed, and twenty times what saving takes; 0: every step."""


@dataclass(frozen=True)
class LinearConfig:
    """The linear one-vs-rest part of phase 3, in stage train-clf."""

    enabled: bool
    """Train a linear classifier on the words beside the dense one, in the last cycle."""
    C: Annotated[float, Range(1e-6, 1e6)]
    """Weight of the squared hinge loss against the distance from the start."""
    start: Annotated[float, Range(0.0, 1e3)]
    """Length of the label centroid that the weights start at."""
    max_passes: Annotated[int, Range(1, MILLION)]
    """Passes of coordinate descent over a label's documents, at most; every second one leaves out most of them."""
    tolerance: Annotated[float, Range(0.0, 1.0)]
    """A document moves no weight while its gradient is smaller; descent stops where all are."""
    prune: Annotated[float, Range(0.0, 1.0)]
    """Share of a label's squared weights that is dropped, the smallest first."""
    max_weights: Count
    """At most so many weights a label are kept, the largest."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Stage evaluate: prediction, its calibration on validation, and the metrics."""

    combination: Annotated[str, OneOf("logistic", "authors")]
    """How a label's scores become one: logistic regression, or the authors' weighted sum; fitted on validation."""
    voters: Annotated[int, Range(1, 100 * THOUSAND)] | None
    """Training documents that vote for their labels (k nearest neighbours), where validation shows that it pays; null:
    none. They are found by words (`shortlist.backend`). A model that uses them carries the words' weights of all."""
    ks: tuple[Cut, ...]
    """The k of P@k and the other metrics."""
    top_k: Cut
    """Ranked labels kept for each test document; any k up to it can be asked for later."""


@dataclass(frozen=True)
class Config:
    """A whole pipeline file."""

    cycles: Annotated[int, Range(1, 100)]
    """Rounds of the three phases."""
    seed: Annotated[int, Range(0, 2**31 - 1)]
    """Every random choice follows from it."""
    final_refresh: bool
    """Run phase 1 once more after the last cycle, so that evaluation searches fresh label embeddings."""
    measure_every_cycle: bool
    """Evaluate the earlier cycles too, not only the last."""
    prepare: PrepareConfig
    model: ModelConfig
    proxy: ProxyConfig
    shortlist: ShortlistConfig
    clf: ClfConfig
    linear: LinearConfig
    evaluate: EvaluateConfig

    def section_dict(self, name: str) -> Any:
        """Return a section as a plain dictionary, or the value of a top-level key, fit for JSON."""
        value = getattr(self, name)
        if is_dataclass(value) and not isinstance(value, type):
            return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(value).items()}
        return value

    def parameters(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the sections and top-level keys called `names`: what a stage depends on."""
        return {name: self.section_dict(name) for name in names}
