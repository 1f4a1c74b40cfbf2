"""The folder of an exported model: its format, writing it atomically, and reading it with every byte checked.

`manifest.json` names the format and its version, and the sha256 and size of each file. Matrices are safetensors, the
rest is JSON; nothing is pickled. `README.md` is a card for people, and the only file that may be edited.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from xmlcli.arrays import Array
from xmlcli.errors import ArtifactError, XmlcliError
from xmlcli.kernels.products import QuantisedDense
from xmlcli.kernels.quantised import QuantisedRows
from xmlcli.serving.card import write_card
from xmlcli.serving.contents import Frontend, ModelContents
from xmlcli.storage import files
from xmlcli.storage.atomic import atomic_folder, sync
from xmlcli.version import __version__

KIND, FORMAT = "xmlcli-model", 3
MANIFEST, CARD = "manifest.json", "README.md"
_SPARSE = ("words", "linear", "label_text", "voters", "voters_labels")
_DENSE = ("tokens", "weight", "Z")
_FLOATS = ("bias", "bonus", "frequencies")
_JSON, _FRONTEND_JSON = ("settings", "about"), ("vocabulary", "label_names")


def write(folder: Path, contents: ModelContents) -> None:
    """Write a model. `folder` is absent, empty or an older model; it is replaced atomically.

    Raises:
        ArtifactError: something else lies there.
    """
    check_target(folder)
    with atomic_folder(folder, f".{os.getpid()}") as temporary:
        _write_files(temporary, contents)


def check_target(folder: Path) -> None:
    """Raise ArtifactError if writing a model to `folder` would destroy something other than a model."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    manifest = files.read_json(folder / MANIFEST) if folder.is_dir() else None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ArtifactError(
            "there is something else than a model where it should be written",
            where=str(folder),
            expected="nothing, an empty folder, or an earlier model",
            remedy="choose another folder",
        )


def read(folder: Path) -> ModelContents:
    """Read a model and compare every file with the manifest.

    Raises:
        ArtifactError: there is no model, it is damaged, or a later version of the program wrote it.
    """
    manifest = _read_manifest(folder)
    entries = {name: entry for name, entry in manifest["files"].items() if name != CARD}
    with ThreadPoolExecutor() as pool:  # reading and hashing leave the interpreter free
        read_files = pool.map(lambda item: _read_file(folder / item[0], item[1]), entries.items())
        by_name = dict(zip(entries, read_files, strict=True))
    try:
        return _contents(by_name)
    except (KeyError, TypeError, ValueError, XmlcliError) as error:
        raise _damaged(folder, f"{type(error).__name__} {error}") from error


def _write_files(folder: Path, contents: ModelContents) -> None:
    from safetensors.numpy import save

    dense = {name: getattr(contents, name) for name in _DENSE}
    arrays: dict[str, Array] = {name: getattr(contents, name) for name in _FLOATS}
    for name, matrix in dense.items():
        arrays |= {f"{name}.values": matrix.values, f"{name}.scale": matrix.scale}
    if contents.residual is not None:
        arrays |= {"residual.weight": contents.residual[0], "residual.bias": contents.residual[1]}
    frontend = contents.frontend
    if frontend.idf is not None:
        arrays["idf"] = frontend.idf
    by_name = {"dense.safetensors": save({name: np.ascontiguousarray(array) for name, array in arrays.items()})}
    for name in _SPARSE:
        if (rows := getattr(contents, name)) is not None:
            by_name[f"{name}.safetensors"] = save(rows.to_arrays())
    for owner, names in ((frontend, _FRONTEND_JSON), (contents, _JSON)):
        for name in names:
            if (value := getattr(owner, name)) is not None:
                by_name[f"{name}.json"] = files.json_bytes(value)
    size = sum(map(len, by_name.values()))
    by_name[CARD] = write_card(contents, size).encode()
    for name, raw in by_name.items():
        (folder / name).write_bytes(raw)
        sync(folder / name)
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        "written_by": f"xmlcli {__version__}",
        "files": {
            name: {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()} for name, raw in by_name.items()
        },
    }
    (folder / MANIFEST).write_bytes(files.json_bytes(manifest))
    sync(folder / MANIFEST)


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(
            "there is no model", where=str(folder), expected=f"a folder with {MANIFEST}", remedy="xmlcli export"
        ) from None
    except ValueError as error:
        raise _damaged(folder / MANIFEST, f"no JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ArtifactError(
            "the folder holds no model",
            where=str(folder),
            expected=f"kind {KIND!r} in {MANIFEST}",
            remedy="name a folder that xmlcli export wrote",
        )
    if manifest.get("format") != FORMAT:
        raise ArtifactError(
            "the model was written in another format",
            where=str(folder),
            expected=f"format {FORMAT}",
            found=f"format {manifest.get('format')}, by {manifest.get('written_by')}",
            remedy="install that version of xmlcli, or export the model again",
        )
    entries = manifest.get("files")
    plain = isinstance(entries, dict) and all(
        isinstance(entry, dict) and Path(name).name == name for name, entry in entries.items()
    )
    if not plain:
        raise _damaged(folder / MANIFEST, "no list of files")
    return manifest


def _read_file(path: Path, entry: Mapping[str, Any]) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    if len(raw) != entry.get("bytes"):
        raise _damaged(path, f"{len(raw):,} bytes")
    if hashlib.sha256(raw).hexdigest() != entry.get("sha256"):
        raise _damaged(path, "another sha256 than in the manifest")
    return raw


def _damaged(path: Path, found: str) -> ArtifactError:
    return ArtifactError("the model is damaged", where=str(path), found=found, remedy="copy or export it again")


def _contents(by_name: Mapping[str, bytes]) -> ModelContents:
    """Return what the files hold. Raises KeyError, TypeError, ValueError or ArtifactError if they disagree."""
    import orjson
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        dense = load(by_name["dense.safetensors"])
        sparse = {name: load(raw) for name in _SPARSE if (raw := by_name.get(f"{name}.safetensors")) is not None}
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    names = (*_JSON, *_FRONTEND_JSON)
    values = {name: orjson.loads(raw) for name in names if (raw := by_name.get(f"{name}.json")) is not None}
    matrices = {name: QuantisedDense(dense[f"{name}.values"], dense[f"{name}.scale"]) for name in _DENSE}
    num_columns = len(matrices["tokens"].scale)
    num_labels = len(dense["frequencies"])
    rows = {
        name: QuantisedRows.from_arrays(arrays, num_columns=num_labels if name == "voters_labels" else num_columns)
        for name, arrays in sparse.items()
    }
    residual = (dense["residual.weight"], dense["residual.bias"]) if "residual.weight" in dense else None
    return ModelContents(
        tokens=matrices["tokens"],
        residual=residual,
        weight=matrices["weight"],
        bias=dense["bias"],
        Z=matrices["Z"],
        bonus=dense["bonus"],
        frequencies=dense["frequencies"],
        words=rows.get("words"),
        linear=rows.get("linear"),
        label_text=rows.get("label_text"),
        voters=rows.get("voters"),
        voters_labels=rows.get("voters_labels"),
        frontend=Frontend(values.get("vocabulary"), dense.get("idf"), values.get("label_names")),
        settings=values["settings"],
        about=values["about"],
    )
