"""The Python API: train the default pipeline on texts in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import scipy.sparse as sp

from xmlcli import files, pipeline
from xmlcli.calls import RunId
from xmlcli.config import load_config
from xmlcli.errors import UsageError
from xmlcli.pipeline import Session
from xmlcli.pipeline_files import shipped_default
from xmlcli.plan import plan
from xmlcli.predictor import Documents, Model
from xmlcli.progress import Progress, silent
from xmlcli.trained import Trained
from xmlcli.workspace import Workspace

_NAME = "data"


def fit(
    documents: Documents,
    labels: Iterable[Iterable[str]],
    *,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Model:
    """Train the default pipeline and return the model, as small as an exported one.

    The stages run as in `xmlcli train`, in a temporary folder that is removed. The pipeline is the program's own,
    whatever `pipelines/` the current folder may hold.

    Args:
        documents: N texts, or CSR (N, F) of features.
        labels: N lists of label names.
        settings: "section.key" → another value than the pipeline file's, such as {"cycles": 1, "seed": 2}.
        device: auto, cpu or cuda.
        progress: told what is done, how far it has come and how much there is.

    Raises:
        UsageError: not as many lists of labels as documents.
        DatasetError: there is nothing to learn from: no labels, or no terms.
        ConfigError: a setting that does not exist, or has no such value.

    >>> import xmlcli
    >>> texts = ["apples and pears", "pears and plums", "bolts and nuts", "nuts and screws"] * 10
    >>> labels = [["fruit"], ["fruit"], ["hardware"], ["hardware"]] * 10
    >>> model = xmlcli.fit(texts, labels, settings={"model.dim": 16, "cycles": 1, "clf.min_documents": 500})
    >>> [[name for name, _ in found] for found in model.predict(["a pear", "pears", "a bolt and screws"], k=1)]
    [['fruit'], ['fruit'], ['hardware']]
    """
    named = [[str(name) for name in names] for names in labels]
    count = len(documents) if isinstance(documents, Sequence) else documents.shape[0]
    if count != len(named):
        raise UsageError("each document needs a list of labels", expected=f"{count:,}", found=f"{len(named):,}")
    overrides = dict(settings or {})
    with tempfile.TemporaryDirectory(prefix="xmlcli-") as root:
        folder = Path(root) / "data" / _NAME
        folder.mkdir(parents=True)
        if sp.issparse(documents):
            _write_matrices(folder, documents, named)
        else:
            _write_texts(folder, documents, named)
        run, config = RunId(str(folder)), load_config(shipped_default(), overrides)
        calls = plan(config, run)
        session = Session(Workspace(Path(root), run.name), config, device, overrides=overrides, progress=progress)
        pipeline.run(session, calls, calls)
        return Model.of(Trained(session.workspace, config, calls).parts())


def _write_texts(folder: Path, texts: Sequence[str], labels: Sequence[Sequence[str]]) -> None:
    with (folder / "train.jsonl").open("wb") as file:
        for text, names in zip(texts, labels, strict=True):
            file.write(orjson.dumps({"text": text, "labels": names}, option=orjson.OPT_APPEND_NEWLINE))


def _write_matrices(folder: Path, X: sp.csr_matrix, labels: Sequence[Sequence[str]]) -> None:
    names = sorted({name for row in labels for name in row})
    ids = {name: i for i, name in enumerate(names)}
    columns = [sorted({ids[name] for name in row}) for row in labels]
    offsets = np.append(0, np.cumsum([len(row) for row in columns]))
    ones = np.ones(offsets[-1], np.float32)
    Y = sp.csr_matrix(
        (ones, np.array([i for row in columns for i in row], np.int32), offsets), (len(labels), len(names))
    )
    files.save_csr(folder / "X.trn.npz", sp.csr_matrix(X, dtype=np.float32))
    files.save_csr(folder / "Y.trn.npz", Y)
    (folder / "output-items.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
