"""The one table of artifact kinds: which files a folder of each kind holds, their dtypes and shapes.

A shape is spelled with numbers and symbols (`"L"`). A symbol stands for one number throughout an artifact, and
throughout all artifacts that one stage reads.

    N, N_validation, N_test     training documents; the last of them, which are for validation; test documents
    F, F_linear                 features; columns of the linear one-vs-rest part
    L                           labels
    D                           width of the embeddings
    k, k_proposed               labels on a shortlist; labels that tf-idf search proposes for a document
    k_test, k_oracle            labels ranked for each test document, by the model and by the oracle of `demo`
    P                           pairs of test document and label that the metrics leave out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class FileSpec:
    """One file of an artifact.

    The suffix says the form: `.npy` an array, `.npz` a CSR matrix, `.json` an object or list, `.safetensors` named
    tensors. `dtype` and `shape` are given for the first two. `inference` marks the files that prediction needs, whose
    sizes add up to the model's. `voting` marks those that it needs besides where the model has kNN votes.
    """

    dtype: str | None = None
    shape: Shape | None = None
    optional: bool = False
    inference: bool = False
    voting: bool = False


KINDS: Mapping[str, Mapping[str, FileSpec]] = {
    "prepared": {
        "X_train.npz": FileSpec("float32", ("N", "F"), voting=True),
        "X_test.npz": FileSpec("float32", ("N_test", "F")),
        "Y_train.npz": FileSpec("float32", ("N", "L"), voting=True),
        "Y_test.npz": FileSpec("float32", ("N_test", "L")),
        "validation_rows.npy": FileSpec("int64", ("N_validation",)),
        "inverse_propensity.npy": FileSpec("float32", ("L",)),
        "label_words.npz": FileSpec("float32", ("L", "F"), inference=True),
        "label_words_without_validation.npz": FileSpec("float32", ("L", "F"), optional=True),
        "label_text_X.npz": FileSpec("float32", ("L", "F"), optional=True, inference=True),
        "test_filter.npy": FileSpec("int32", ("P", 2), optional=True),
        "features.json": FileSpec(optional=True),
        "labels.json": FileSpec(optional=True),
        "oracle_top.npy": FileSpec("int32", ("N_test", "k_oracle"), optional=True),
        "prepared.json": FileSpec(),
    },
    "labels": {
        "Z.npy": FileSpec("float32", ("L", "D"), inference=True),
        "bonus.npy": FileSpec("float32", ("L",), inference=True),
        "proxy.safetensors": FileSpec(),
        "report.json": FileSpec(),
    },
    "shortlist": {
        "indices.npy": FileSpec("int32", ("N", "k")),
        "scores.npy": FileSpec("float32", ("N", "k")),
        "proposals.npy": FileSpec("int32", ("N", "k_proposed"), optional=True),
        "proposal_scores.npy": FileSpec("float16", ("N", "k_proposed"), optional=True),
        "report.json": FileSpec(),
    },
    "clf": {
        "model.safetensors": FileSpec(inference=True),
        "optimiser.safetensors": FileSpec(optional=True),
        "linear.npz": FileSpec("float32", ("L", "F_linear"), optional=True, inference=True),
        "state.json": FileSpec(),
    },
    "combination": {
        "combination.json": FileSpec(inference=True),
        "report.json": FileSpec(),
    },
    "evaluation": {
        "test_top.npy": FileSpec("int32", ("N_test", "k_test")),
        "metrics.json": FileSpec(),
        "report.json": FileSpec(),
    },
}
"""Kind → file name → what it holds."""
