"""The Python API: train the default pipeline on texts in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmlcli.config.load import load_config
from xmlcli.config.pipeline_files import shipped_default
from xmlcli.datasets.formats.raw import label_matrix
from xmlcli.errors import UsageError
from xmlcli.features.given import given_rows
from xmlcli.progress import Progress, silent
from xmlcli.runs import runner
from xmlcli.runs.plan import plan
from xmlcli.runs.runner import Session
from xmlcli.runs.snapshot import through
from xmlcli.runs.trained_run import TrainedRun
from xmlcli.serving.model import Documents, Model
from xmlcli.stages.call import RunId
from xmlcli.storage import files
from xmlcli.storage.workspace import Workspace

_NAME = "data"


def fit(
    documents: Documents,
    labels: Iterable[Iterable[str]],
    *,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Model:
    """Train the default pipeline and return the model, quantised as an exported one.

    The stages run as in `xmlcli train`, in a temporary folder that is removed. The pipeline is the program's own,
    whatever `pipelines/` the current folder may hold.

    Args:
        documents: N texts, or (N, F) features, sparse or dense.
        labels: N lists of label names.
        settings: "section.key" → another value than the pipeline file's, such as {"cycles": 1, "seed": 2}.
        device: auto, cpu or cuda.
        progress: called with the work's name, how much of it is done, and how much there is.

    Raises:
        UsageError: not as many lists of labels as documents, something that is no text or no list, or no labels.
        DatasetError: there is nothing to learn from: no terms.
        ConfigError: a setting that does not exist, or has no such value.

    >>> import xmlcli
    >>> texts = ["apples and pears", "pears and plums", "bolts and nuts", "nuts and screws"] * 10
    >>> labels = [["fruit"], ["fruit"], ["hardware"], ["hardware"]] * 10
    >>> model = xmlcli.fit(texts, labels, settings={"model.dim": 16, "cycles": 1, "clf.min_documents": 500})
    >>> [[name for name, _ in labels] for labels in model.predict(["apples", "pears", "a bolt and screws"], k=1)]
    [['fruit'], ['fruit'], ['hardware']]
    """
    rows = [_names(row, where=f"labels[{i}]") for i, row in enumerate(_listed(labels, "labels"))]
    names = sorted({name for row in rows for name in row})
    ids = {name: i for i, name in enumerate(names)}
    counts, columns = [len(row) for row in rows], [ids[name] for row in rows for name in row]
    Y = label_matrix(np.array(counts, np.int64), np.array(columns, np.int32), len(names))
    return fit_matrix(documents, Y, label_names=names, settings=settings, device=device, progress=progress)


def fit_matrix(
    documents: Documents,
    Y: sp.csr_matrix,
    *,
    label_names: list[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Model:
    """Train as `fit` does, with labels as CSR (N, L). Without names, label texts have no part in training.

    Raises what `fit` raises.
    """
    documents = _documents(documents)
    count = len(documents) if isinstance(documents, list) else documents.shape[0]
    if count != Y.shape[0]:
        raise UsageError("each document needs a list of labels", expected=f"{count:,}", found=f"{Y.shape[0]:,}")
    if not Y.nnz:
        raise UsageError("there is nothing to learn from", expected="documents, and a label of at least one of them")
    overrides = dict(settings or {})
    with tempfile.TemporaryDirectory(prefix="xmlcli-") as root:
        folder = Path(root) / "data" / _NAME
        folder.mkdir(parents=True)
        _write(folder, documents, Y, label_names)
        run, config = RunId(str(folder)), load_config(shipped_default(), overrides)
        calls = plan(config, run)
        session = Session(Workspace(Path(root), run.name), config, device, overrides=overrides, progress=progress)
        runner.run(session, calls, calls)
        contents = through(session.workspace, lambda training: TrainedRun(training).contents())
        frontend = replace(contents.frontend, label_names=label_names)
        return Model.of(replace(contents, frontend=frontend))


def _listed(values: Any, what: str) -> list[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UsageError(f"{what} are a list", found=type(values).__name__)
    return list(values)


def _names(row: Any, *, where: str) -> list[str]:
    """Return the labels of one document as texts. Raises UsageError."""
    if isinstance(row, str | bytes) or not isinstance(row, Iterable):
        raise UsageError(
            "a document has a list of labels", where=where, found=repr(row), remedy="[[label] for label in labels]"
        )
    names = list(row)
    for name in names:
        if not isinstance(name, str | int | np.integer) or not _is_valid(str(name)):
            raise UsageError("a label is no text", where=where, expected="str", found=repr(name))
    return [str(name) for name in names]


def _is_valid(text: str) -> bool:
    """Whether a text can be written, as a lone half of a surrogate pair cannot."""
    return text.isascii() or text.encode("utf-8", "replace").decode() == text


def _documents(documents: Any) -> list[str] | sp.csr_matrix:
    if sp.issparse(documents) or (isinstance(documents, np.ndarray) and documents.ndim == 2):
        return given_rows(documents)
    texts = _listed(documents, "documents")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            found = type(text).__name__
            raise UsageError("a document is no text", where=f"documents[{row}]", expected="str", found=found)
    return texts


def _write(folder: Path, documents: list[str] | sp.csr_matrix, Y: sp.csr_matrix, names: list[str] | None) -> None:
    """Write a dataset in the layout of PECOS, one text or name a line."""
    files.save_csr(folder / "Y.trn.npz", sp.csr_matrix(Y, dtype=np.float32))
    if isinstance(documents, list):
        _write_lines(folder / "X.trn.txt", documents)
    else:
        files.save_csr(folder / "X.trn.npz", documents)
    if names is not None:
        _write_lines(folder / "output-items.txt", names)


def _write_lines(path: Path, texts: list[str]) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.writelines(f"{' '.join(text.splitlines())}\n" for text in texts)
