"""Read artifacts: folders that are complete or absent, and describe themselves.

A folder holds the files of its kind (`kinds`) and `manifest.json`, which is written last. It names the format and the
kind, says what each symbol of the shapes stands for, and gives the sha256, bytes, dtype and shape of each file. The
same content has the same manifest, whose sha256 is the artifact's identity.

Each of several ranks reads the rows that it owns. `xmlcli.storage.writing` writes artifacts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.errors import ArtifactError
from xmlcli.storage import files, partial_reads
from xmlcli.storage.files import Json
from xmlcli.storage.kinds import KINDS, FileSpec

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """An artifact that `read` has verified; files are read when asked for."""

    folder: Path
    kind: str
    identity: str
    dims: Mapping[str, int]
    entries: Mapping[str, Mapping[str, Json]]
    made_by: str

    def has(self, name: str) -> bool:
        """Whether the optional file is there."""
        return name in self.entries

    def rows(self, name: str) -> int:
        """Return the number of rows of an array or a matrix."""
        return int(self.entries[name]["shape"][0])

    def array(self, name: str, *, mmap: bool = False) -> Array:
        """Read an array; `mmap` leaves it on disk, read-only."""
        try:
            values: Array = np.load(self._path(name), mmap_mode="r" if mmap else None, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise self._damaged(name, str(error)) from error
        self._check(name, values.dtype, values.shape)
        return values

    def array_rows(self, name: str, rows: slice) -> Array:
        """Read some rows of an array."""
        whole = self.entries[name]["shape"][0]
        return self.array(name) if rows == slice(0, whole) else np.array(self.array(name, mmap=True)[rows])

    def csr(self, name: str) -> sp.csr_matrix:
        """Read a CSR matrix."""
        return self._matrix(name, files.load_csr)

    def csr_rows(self, name: str, rows: slice) -> sp.csr_matrix:
        """Read some rows of a CSR matrix."""
        whole = self.entries[name]["shape"][0]
        if rows == slice(0, whole):
            return self.csr(name)
        return partial_reads.csr_rows(self.mapped_csr(name), rows)

    def mapped_csr(self, name: str) -> sp.csr_matrix:
        """Return a CSR matrix whose arrays are read from the disk as they are used."""
        return self._matrix(name, partial_reads.map_csr)

    def _matrix(self, name: str, load: Callable[[Path], sp.csr_matrix]) -> sp.csr_matrix:
        try:
            matrix = load(self._path(name))
        except (ValueError, OSError, KeyError) as error:
            raise self._damaged(name, str(error)) from error
        self._check(name, matrix.dtype, matrix.shape)
        return matrix

    def json(self, name: str) -> Json:
        """Read JSON."""
        try:
            return json.loads(self._path(name).read_bytes())
        except ValueError as error:
            raise self._damaged(name, str(error)) from error

    def tensors(self, name: str, prefix: str = "") -> dict[str, torch.Tensor]:
        """Read the tensors whose names begin with `prefix` onto the CPU."""
        return self._tensors(name, partial(files.load_tensors, prefix=prefix))

    def tensor_rows(
        self, name: str, rows: slice, is_split: Callable[[str], bool], framework: str = "pt"
    ) -> dict[str, Any]:
        """Read named tensors, of those that `is_split` names only some rows; as arrays where `framework` is numpy."""
        load = partial(partial_reads.load_tensor_rows, rows=rows, is_split=is_split, framework=framework)
        return self._tensors(name, load)

    def numpy_tensors(self, name: str) -> dict[str, Array]:
        """Read named tensors as arrays, without torch."""
        return self._tensors(name, files.load_arrays)

    def inference_bytes(self, *, voting: bool = False) -> int:
        """Return the bytes of the files that prediction needs; `voting`: the model has kNN votes."""
        needed = {name for name, spec in KINDS[self.kind].items() if spec.inference or (voting and spec.voting)}
        return sum(entry["bytes"] for name, entry in self.entries.items() if name in needed)

    def verify_content(self) -> None:
        """Compare every file's sha256 with the manifest; ArtifactError at the first that differs."""
        for name, entry in self.entries.items():
            sha256 = files.sha256_file(self.folder / name)
            if sha256 != entry["sha256"]:
                raise self._damaged(name, f"sha256 {sha256}", f"sha256 {entry['sha256']}")

    def _tensors(self, name: str, load: Callable[[Path], T]) -> T:
        from safetensors import SafetensorError

        try:
            return load(self._path(name))
        except SafetensorError as error:
            raise self._damaged(name, str(error)) from error

    def _path(self, name: str) -> Path:
        if name not in self.entries:
            raise self._damaged(name, "the artifact was made without it")
        return self.folder / name

    def _check(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        entry = self.entries[name]
        if [str(dtype), list(shape)] != [entry["dtype"], entry["shape"]]:
            raise self._damaged(name, f"{dtype} {list(shape)}", f"{entry['dtype']} {entry['shape']}")

    def _damaged(self, name: str, found: str, expected: str | None = None) -> ArtifactError:
        return ArtifactError(
            f"the {self.kind} artifact is damaged",
            where=str(self.folder / name),
            expected=expected,
            found=found,
            remedy=f"remove the folder, then {self.made_by}",
        )


def identity(folder: Path) -> str | None:
    """Return the sha256 of the folder's manifest, None where there is none."""
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(folder: Path, kind: str, *, made_by: str) -> Artifact:
    """Return the artifact in `folder` after checking its manifest, format, kind, files and shapes.

    Only the manifest is opened, which is cheap; `Artifact.verify_content` compares all bytes. `made_by` is the command
    that makes the artifact, which an ArtifactError tells beside path, expected and found.
    """

    def fault(message: str, expected: str, found: str) -> ArtifactError:
        return ArtifactError(message, where=str(folder), expected=expected, found=found, remedy=made_by)

    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest = json.loads(raw)
    except (FileNotFoundError, NotADirectoryError):
        found = "a folder without manifest.json" if folder.exists() else "nothing"
        raise fault(f"there is no {kind} artifact", f"a complete {kind} artifact", found) from None
    except ValueError as error:
        raise fault(f"the manifest of the {kind} artifact is damaged", "JSON", str(error)) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = f"format {manifest.get('format')}" if isinstance(manifest, dict) else "no object"
        raise fault(f"the {kind} artifact was written by another version", f"format {FORMAT}", found)
    if manifest.get("kind") != kind:
        raise fault("an artifact is not of the kind asked for", kind, str(manifest.get("kind")))
    entries = cast(dict[str, dict[str, Json]], manifest["files"])
    dims: dict[str, int] = {}
    for name, spec in KINDS[kind].items():
        if name not in entries:
            if not spec.optional:
                raise fault(f"the {kind} artifact is not complete", f"a file {name}", "none in its manifest")
            continue
        _check_file(folder / name, entries[name], spec, dims)
    return Artifact(folder, kind, hashlib.sha256(raw).hexdigest(), dims, entries, made_by)


def _check_file(path: Path, entry: Mapping[str, Json], spec: FileSpec, dims: dict[str, int]) -> None:
    size = path.stat().st_size if path.is_file() else None
    if size != entry["bytes"]:
        raise ArtifactError(
            "a file of an artifact is damaged",
            where=str(path),
            expected=f"{entry['bytes']} bytes",
            found="no file" if size is None else f"{size} bytes",
            remedy=f"remove the folder {path.parent} and type the command again",
        )
    if spec.shape is not None:
        check_values(path, dims, spec, np.dtype(entry["dtype"]), tuple(entry["shape"]))


def check_values(
    path: Path, dims: dict[str, int], spec: FileSpec, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> None:
    """Check one file against the table and bind the symbols of its shape in `dims`; ArtifactError otherwise."""
    assert spec.shape is not None
    bound = [dims.setdefault(d, n) if isinstance(d, str) else d for d, n in zip(spec.shape, shape, strict=False)]
    if str(dtype) != spec.dtype or len(shape) != len(spec.shape) or list(shape) != bound:
        names = ", ".join(
            f"{d} = {n}" if isinstance(d, str) else str(d) for d, n in zip(spec.shape, bound, strict=False)
        )
        raise ArtifactError(
            "a file of an artifact does not fit",
            where=str(path),
            expected=f"{spec.dtype} ({names})",
            found=f"{dtype} {tuple(shape)}",
        )


def check_agree(artifacts: Mapping[str, Artifact]) -> None:
    """Raise ArtifactError where a symbol stands for different numbers in artifacts that are used together."""
    seen: dict[str, tuple[int, Artifact]] = {}
    for artifact in artifacts.values():
        for symbol, number in artifact.dims.items():
            first, owner = seen.setdefault(symbol, (number, artifact))
            if first != number:
                raise ArtifactError(
                    "two artifacts do not belong together",
                    where=str(artifact.folder),
                    expected=f"{symbol} = {first}, as in {owner.folder}",
                    found=f"{symbol} = {number}",
                    remedy=artifact.made_by,
                )
