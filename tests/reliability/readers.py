"""What `make fuzz` reads: for each reader some right inputs, how they are made wrong, and what reads them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from garbling import garbled, garbled_gzip, garbled_json, garbled_members

Files = dict[str, bytes]
Garble = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

F, L = 12, 6
_GARBLES: dict[str, Garble] = {
    ".gz": garbled_gzip,
    ".npz": garbled_members,
    ".zip": garbled_members,
    ".json": garbled_json,
}
_TEXT = "text,labels\r\nalpha beta,a;b\r\n\"gamma, delta\",\"['a', 'c']\"\r\nepsilon,\r\nzeta eta,d\r\n"


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
        **{name: Reader(inputs, _read_dataset) for name, inputs in _datasets().items()},
        "predict --input": Reader(_documents(), _read_documents),
        "predictions": Reader(_predictions(), _read_predictions),
        "pipeline file": Reader(_pipelines(), _read_pipeline),
        "--set": Reader(
            [{"value": text} for text in (b"clf.epochs=3", b"proxy.priors=[0.1, 2]", b"seed=0x1f")], _read_set
        ),
        "params.yaml": Reader([{"params.yaml": _params()}], _read_table),
        "archive": Reader(_archives(), _read_archive),
        "exported model": Reader([_folder(trained / "model")], _read_model, frozenset({"README.md"}), _fit_manifest),
        "artifact": Reader(_artifacts(trained), _read_artifact),
        "snapshot": Reader(_snapshots(trained), _read_snapshot),
        "records": Reader(_records(trained), _read_records),
        "checkpoint": Reader([_checkpoint()], _read_checkpoint, frozenset({"owner"})),
    }


def _npz(matrix: Any, form: str = "csr") -> bytes:
    target = io.BytesIO()
    sp.save_npz(target, matrix.asformat(form), compressed=form == "coo")
    return target.getvalue()


def _matrices() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = sp.random(8, F, 0.4, format="csr", dtype=np.float32, random_state=rng)
    return X, sp.csr_matrix((sp.random(8, L, 0.4, random_state=rng) > 0).astype(np.float32))


def _xmc(header: str, separator: str = "\n") -> bytes:
    rows = ["0,2 0:1 3:0.5 11:2", "1 2:1e-3 4:.5", " 5:1 6:2", "5,4,3 1:-1", "0 7:1 8:1 9:1 10:3", "2,1 0:0"]
    return "\n".join([*([header] if header else []), *rows, ""]).replace("\n", separator).encode()


def _datasets() -> dict[str, list[Files]]:
    X, Y = _matrices()
    documents = [
        {"uid": "1", "title": "alpha beta", "content": "x", "target_ind": [0, 2]},
        {"title": "é", "target_ind": []},
    ]
    lines = b"".join(json.dumps(document).encode() + b"\n" for document in documents * 3)
    labels = b"".join(b'{"title": "label %d"}\n' % i for i in range(L))
    names = b"".join(b"label %d\n" % i for i in range(L))
    table = [
        {"text": "alpha beta", "labels": ["a", "b"]},
        {"text": "gamma", "labels": "c;a"},
        {"text": None, "labels": 3},
    ]
    uris = b"".join(b"<http://x/%d>\tlabel %d\n" % (i, i) for i in range(L))
    corpus = b"alpha beta\t<http://x/1> <http://x/2>\ngamma\t\ndelta\thttp://x/3\n"
    split = {"train.txt": _xmc(f"6 {F} {L}"), "test.txt": _xmc(f"6 {F} {L}", "\r\n")}
    sparse = b"3 12\n0:1 3:0.5\n\n4:1 11:2\n"
    return {
        "bag of words": [split, split | {"labels.txt": names, "filter_labels_test.txt": b"0 1\n2 0\n"}],
        "one file, two splits": [{"c_data.txt": _xmc(f"6 {F} {L}"), "c_trSplit.txt": b"1 2\n2 3\n4 5\n", "c_tstSplit.txt": b"3 1\n5\n"}],
        "sparse text": [{"trn_X_Xf.txt": sparse, "trn_X_Y.txt": b"3 6\n0:1\n1:1 2:1\n\n", "Yf.txt": names}],
        "raw text": [
            {"trn.json": lines, "lbl.json": labels}, {"trn.json.gz": gzip.compress(lines), "Yf.txt": names},
            {"trn.json": lines, "tst.json": lines, "lbl.json": labels, "filter_labels_test.txt": b"0 1\n"},
        ],
        "PECOS": [
            {"X.trn.npz": _npz(X), "Y.trn.npz": _npz(Y), "output-items.txt": names},
            {"X.trn.npz": _npz(X, "csc"), "Y.trn.npz": _npz(Y, "coo"), "X.tst.npz": _npz(X), "Y.tst.npz": _npz(Y)},
            {"X.trn.txt": b"alpha beta\n\ngamma\nd\ne\nf\ng\nh\n", "Y.trn.npz": _npz(Y)},
        ],
        "AttentionXML": [{"train_texts.txt": b"alpha beta\ngamma\n\n", "train_labels.txt": b"a b\n7\nc\n"}],
        "Annif": [{"train.tsv": corpus, "vocab.tsv": uris}, {"train.tsv.gz": gzip.compress(corpus), "vocab.tsv": uris}],
        "LIBSVM": [{"train.svm": _xmc("")}, {"train.svm": _xmc("", "\r\n"), "test.svm": _xmc("")}],
        "CSV": [{"t.csv": _TEXT.encode()}, {"t.tsv": b"sep=\t\ntext\tlabels\na\tx;y\nb\t[\"u\", 1]\n"}],
        "JSON lines": [{"t.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in table * 2)}],
    }  # fmt: skip


def _check(matrix: Any) -> None:
    """Raise where a matrix that was read is none."""
    matrix.check_format(full_check=True)
    assert np.isfinite(matrix.data).all()


def _read_dataset(folder: Path) -> None:
    from xmlcli.datasets.find import open_folder
    from xmlcli.datasets.load import read_dataset

    dataset = read_dataset(open_folder(folder))
    for split in filter(None, (dataset.train, dataset.test)):
        _check(split.Y)
        assert split.X is None or len(split.X.data) == 0 or np.abs(split.X.data).max() >= 0
        rows = len(split.texts) if split.texts is not None else split.X.shape[0]
        assert rows == split.Y.shape[0]
    for name in dataset.label_names or []:
        name.encode()


def _documents() -> list[Files]:
    X, _ = _matrices()
    return [
        {"d.txt": "alpha beta\n\ngamma é\r\nd\n".encode()}, {"d.jsonl": b'{"text": "a"}\n{"title": "b", "content": "c"}\n"d"\n'},
        {"d.csv": _TEXT.encode()}, {"d.npz": _npz(X)}, {"d.svm": _xmc("")}, {"d.xmc": _xmc(f"6 {F} {L}")},
    ]  # fmt: skip


def _read_documents(folder: Path) -> None:
    from xmlcli.datasets.documents import read_documents

    (path,) = folder.iterdir()
    for block in read_documents(str(path), as_text=path.suffix == ".txt", num_features=F):
        if not isinstance(block, list):
            _check(block)


def _predictions() -> list[Files]:
    _, Y = _matrices()
    text = b"8 6\n0:1 2:.5\n\n3:1e-5,4:2\n5:-1\n0:1\n1:1\n2:1\n3:1\n"
    return [{"p.txt": text}, {"p.txt": text.partition(b"\n")[2]}, {"p.npz": _npz(Y)}, {"p.npz": _npz(Y, "coo")}]


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


def _archives() -> list[Files]:
    members = {"c/": b"", "c/train.txt": _xmc(f"6 {F} {L}"), "c/inner/labels.txt": b"a\nb\n", "__MACOSX/x": b"y"}
    zipped, plain = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=form) as tar:
            for name, content in ({"c/" + "n" * 150: b"long"} | members).items():
                info = tarfile.TarInfo(name)
                info.size, info.type = len(content), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                tar.addfile(info, io.BytesIO(content))
    raw = plain.getvalue()
    return [
        {"a.zip": zipped.getvalue()}, {"a": zipped.getvalue()}, {"a.tar": raw}, {"a.gz": gzip.compress(raw)},
        {"a.bz2": bz2.compress(raw)}, {"a.xz": lzma.compress(raw)},
    ]  # fmt: skip


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
    records = [path for path in (trained / "runs" / "demo").glob("*.json")]
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
