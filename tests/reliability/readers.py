"""What `make fuzz` reads: for each reader some right inputs, how they are made wrong, and what reads them."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inputs
import numpy as np
from garbling import garbled, garbled_gzip, garbled_json, garbled_members
from inputs import F, Files, L

Garble = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

_RECOGNISED = 16
"""Of so many folders one is looked at for its layout, which takes longer than to read it; others are as one before."""
_known: dict[tuple[Any, ...], Any] = {}
_reads = itertools.count()
_GARBLES: dict[str, Garble] = {
    ".gz": garbled_gzip,
    ".npz": garbled_members,
    ".zip": garbled_members,
    ".json": garbled_json,
}


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        inputs: right inputs, each some files of one folder.
        read: reads a folder; raises XmlcliError for what is wrong, and anything else where the program is.
        fixed: files that are left as they are.
        mend: makes the other files of a folder fit the one that is garbled, such as its hash in a manifest.
    """

    inputs: Sequence[Files]
    read: Callable[[Path], object]
    fixed: frozenset[str] = frozenset()
    mend: Callable[[Files, random.Random], Files] = field(default=lambda files, rng: files)

    def garbled(self, rng: random.Random) -> Files:
        """Return one of the inputs with one of its files garbled."""
        files = dict(rng.choice(self.inputs))
        name = rng.choice([name for name in files if name not in self.fixed])
        of_kind = [other[name] for other in self.inputs if name in other]
        garble = _GARBLES.get(Path(name).suffix, garbled)
        return self.mend(files | {name: garble(files[name], rng, of_kind)}, rng)


def make_readers(trained: Path) -> dict[str, Reader]:
    """Return all readers by name; `trained` is a root with a trained run and its exported model in `model`."""
    return {
        **{name: Reader(inputs, _read_dataset) for name, inputs in inputs.datasets().items()},
        "predict --input": Reader(inputs.documents(), _read_documents),
        "predictions": Reader(inputs.predictions(), _read_predictions),
        "pipeline file": Reader(_pipelines(), _read_pipeline),
        "overrides": Reader(
            [{"value": text} for text in (b"clf.epochs=3", b"proxy.priors=[0.1, 2]", b"seed=0x1f")], _read_set
        ),
        "params.yaml": Reader([{"params.yaml": _params()}], _read_table),
        "archive": Reader(inputs.archives(), _read_archive),
        "exported model": Reader([_folder(trained / "model")], _read_model, frozenset({"README.md"}), _fit_manifest),
        "artifact": Reader(_artifacts(trained), _read_artifact),
        "snapshot": Reader(_snapshots(trained), _read_snapshot),
        "records": Reader(_records(trained), _read_records),
        "checkpoint": Reader([_checkpoint()], _read_checkpoint, frozenset({"owner"})),
    }


def _check(matrix: Any) -> None:
    """Raise where a matrix that was read is none."""
    matrix.check_format(full_check=True)
    assert np.isfinite(matrix.data).all()


def _read_dataset(folder: Path) -> None:
    from xmlcli.datasets.find import open_folder
    from xmlcli.datasets.load import read_dataset

    names = (folder, *sorted(path.name for path in folder.iterdir()))
    known = _known.get(names) if next(_reads) % _RECOGNISED else None
    dataset = read_dataset(found := known or open_folder(folder))
    _known[names] = found
    for split in filter(None, (dataset.train, dataset.test)):
        _check(split.Y)
        assert split.X is None or len(split.X.data) == 0 or np.abs(split.X.data).max() >= 0
        rows = len(split.texts) if split.texts is not None else split.X.shape[0]
        assert rows == split.Y.shape[0]
    for name in dataset.label_names or []:
        name.encode()


def _read_documents(folder: Path) -> None:
    from xmlcli.datasets.documents import read_documents

    (path,) = folder.iterdir()
    for block in read_documents(str(path), as_text=path.suffix == ".txt", num_features=F):
        if not isinstance(block.documents, list):
            _check(block.documents)


def _read_predictions(folder: Path) -> None:
    from xmlcli.datasets.predictions import rank_predictions, read_predictions

    (path,) = folder.iterdir()
    top = rank_predictions(read_predictions(path, 8, L), 5, np.array([[0, 2]], np.int32))
    assert top.shape == (8, 5)
    assert ((top >= 0) & (top <= L)).all()


def _pipelines() -> list[Files]:
    from driving import PROJECT

    text = (PROJECT / "pipelines" / "default.yaml").read_text()
    parts = [part.encode() for part in text.split("\n\n")]
    return [{"p.yaml": part} for part in [*parts, b"base: p\nclf: {epochs: 3}\n", b"base: other\n"] * 3] + [
        {"p.yaml": text.encode()}
    ]


def _read_pipeline(folder: Path) -> None:
    from xmlcli.config.load import load_config

    load_config(folder / "p.yaml")


def _read_set(folder: Path) -> None:
    from xmlcli.config.overrides import parse_overrides

    parse_overrides([(folder / "value").read_bytes().decode(errors="replace")])


def _params() -> bytes:
    from driving import PROJECT

    return (PROJECT / "params.yaml").read_bytes()


def _read_table(folder: Path) -> None:
    from xmlcli.runs import dvc_table

    dvc_table.read_runs(folder / "params.yaml")


def _read_archive(folder: Path) -> None:
    from xmlcli.datasets.published.unpack import unpack

    (path,) = folder.iterdir()
    target = folder / "unpacked"
    try:
        unpack(path, target)
    finally:
        assert {file.name for file in folder.iterdir()} <= {path.name, "unpacked"}, "something lies outside"
        shutil.rmtree(target, ignore_errors=True)


def _folder(path: Path) -> Files:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def _fit_manifest(files: Files, rng: random.Random) -> Files:
    """Make the hashes of a folder fit, as a stranger would, but for one in ten."""
    if rng.random() < 0.1:
        return files
    try:
        manifest = json.loads(files["manifest.json"])
        for name, raw in files.items():
            if name in manifest["files"]:
                manifest["files"][name] |= {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        return files
    return files | {"manifest.json": json.dumps(manifest).encode()}


def _read_model(folder: Path) -> None:
    from xmlcli.serving.model import load

    model = load(folder)
    labels, scores = model.top_k(["gabo belu", "", "unheard"], 5)
    assert ((labels >= 0) & (labels <= model.num_labels)).all()
    assert ((scores >= 0) & (scores <= 1)).all()


_KINDS = {"shortlist": "cycle1/shortlist", "evaluation": "cycle1/evaluation", "prepared": "prepared"}


def _artifacts(trained: Path) -> list[Files]:
    (run,) = (trained / "artifacts").iterdir()
    return [_folder(run / path) | {"kind": kind.encode()} for kind, path in _KINDS.items()]


def _read_artifact(folder: Path) -> None:
    from xmlcli.storage import artifacts
    from xmlcli.storage.kinds import KINDS
    from xmlcli.storage.verification import verify_opened

    kind = (folder / "kind").read_text(errors="replace")
    if kind not in KINDS:
        return
    artifact = artifacts.read(folder, kind, made_by="xmlcli train")
    verify_opened([artifact], folder / "verified.json")
    for name in artifact.entries:
        {".npy": artifact.array, ".npz": artifact.csr, ".json": artifact.json}[Path(name).suffix](name)


def _run_of(folder: Path) -> Any:
    from xmlcli.storage.workspace import Workspace

    return Workspace(folder, "demo")


def _snapshots(trained: Path) -> list[Files]:
    return [
        {
            "snapshots/demo/snapshot.json": (trained / "snapshots/demo/snapshot.json").read_bytes(),
            "snapshots/demo/1/x": b"",
        }
    ]


def _read_snapshot(folder: Path) -> None:
    from xmlcli.runs.snapshot import last_trained, published

    published(_run_of(folder)).check_unchanged()
    last_trained(folder, lambda line: None)


def _records(trained: Path) -> list[Files]:
    records = (trained / "runs" / "demo").glob("*.json")
    files = {f"runs/demo/{path.name}": path.read_bytes() for path in records}
    return [files | {"scratch/demo/raw-hashes.json": (trained / "scratch/demo/raw-hashes.json").read_bytes()}]


def _read_records(folder: Path) -> None:
    from xmlcli.config.load import load_config
    from xmlcli.config.pipeline_files import shipped_default
    from xmlcli.runs import identity, snapshot
    from xmlcli.runs.runner import Session
    from xmlcli.storage import files
    from xmlcli.storage.verification import VerifiedFiles

    global _session
    if _session is None:
        _session = Session(_run_of(folder), load_config(shipped_default()))
    for path in sorted((folder / "runs" / "demo").iterdir()):
        record = files.read_json(path)
        if record is not None and isinstance(record.get("identity"), dict):
            now = {"stage": "x", "VERSION": 1, "parameters": {"seed": 1}, "inputs": {}}
            identity.difference(record["identity"], now)
    str(snapshot.incomplete(_run_of(folder)))
    VerifiedFiles(folder / "scratch/demo/raw-hashes.json").save()
    from xmlcli.stages.raw_files import _read_cache

    _read_cache(folder / "scratch/demo/raw-hashes.json")


_session: Any = None


def _tensors() -> dict[str, Any]:
    import torch

    torch.manual_seed(0)
    return {
        "step": torch.tensor(3),
        "model.w": torch.rand(4, 3),
        "optimiser.w": torch.zeros(4, 3),
        "model.b": torch.ones(2),
    }


def _checkpoint() -> Files:
    import tempfile

    from xmlcli.stages import sealed_tensors

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.safetensors"
        sealed_tensors.save(path, _tensors(), b"owner")
        return {"c.safetensors": path.read_bytes(), "owner": b"owner"}


def _read_checkpoint(folder: Path) -> None:
    import torch

    from xmlcli.errors import XmlcliError
    from xmlcli.stages import sealed_tensors

    right = _tensors()
    try:
        read = sealed_tensors.load(folder / "c.safetensors", right, b"owner")
    except ValueError as error:  # by which a checkpoint is set aside
        raise XmlcliError(str(error)) from None
    assert all(torch.equal(read[name], tensor) for name, tensor in right.items()), "another state is taken for it"
