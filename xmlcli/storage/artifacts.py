"""Read artifacts: folders that are complete or absent, and describe themselves.

A folder holds the files of its kind (`kinds`) and `manifest.json`, which is written last. It names the format and the
kind, says what each symbol of the shapes stands for, and gives the sha256, bytes, dtype and shape of each file. The
same content has the same manifest, whose sha256 is the artifact's identity.

Each of several ranks reads the rows that it owns. `xmlcli.storage.writing` writes artifacts.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import scipy.sparse as sp

from xmlcli.arrays import Array
from xmlcli.errors import ArtifactError, DamagedFileError
from xmlcli.storage import files, partial_reads
from xmlcli.storage.files import Json
from xmlcli.storage.kinds import KINDS, FileSpec
from xmlcli.storage.manifests import MANIFEST as MANIFEST
from xmlcli.storage.manifests import manifest_error, read_entries

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


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
        path = self._path(name)
        try:
            values: Array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise self.damaged(name, str(error)) from error
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
        path = self._path(name)
        try:
            matrix = load(path)
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
            raise self.damaged(name, str(error)) from error
        self._check(name, matrix.dtype, matrix.shape)
        return matrix

    def json(self, name: str) -> Json:
        """Read JSON."""
        path = self._path(name)
        try:
            return files.parse_json(files.read_bounded(path, self.entries[name]["bytes"]))
        except ValueError as error:
            raise self.damaged(name, str(error)) from error

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
                raise self.damaged(name, f"sha256 {sha256}", f"sha256 {entry['sha256']}")

    def damaged(self, name: str, found: str, expected: str | None = None) -> DamagedFileError:
        """Return the error that says what is wrong with a file, and the command that makes it again."""
        return DamagedFileError(str(self.folder / name), expected=expected, found=found, remedy=self.made_by)

    def _tensors(self, name: str, load: Callable[[Path], T]) -> T:
        from safetensors import SafetensorError

        path = self._path(name)
        try:
            return load(path)
        except SafetensorError as error:
            raise self.damaged(name, str(error)) from error

    def _path(self, name: str) -> Path:
        """Return the path of a file that can be opened; PermissionError is no damage, and names the path."""
        if name not in self.entries:
            raise self.damaged(name, "the artifact was made without it")
        path = self.folder / name
        try:
            path.open("rb").close()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise self.damaged(name, str(error.strerror)) from error
        return path

    def _check(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        entry = self.entries[name]
        if [str(dtype), list(shape)] != [entry["dtype"], entry["shape"]]:
            raise self.damaged(name, f"{dtype} {list(shape)}", f"{entry['dtype']} {entry['shape']}")


def identity(folder: Path) -> str | None:
    """Return the sha256 of the folder's manifest, None where there is none."""
    try:
        return hashlib.sha256(files.read_bounded(folder / MANIFEST)).hexdigest()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def read(folder: Path, kind: str, *, made_by: str) -> Artifact:
    """Return the artifact in `folder` after checking its manifest, format, kind, files and shapes.

    Only the manifest is opened, which is cheap; `xmlcli.storage.verification` compares the bytes. `made_by` is the
    command that makes the artifact, which an ArtifactError tells beside path, expected and found.
    """
    try:
        raw = files.read_bounded(folder / MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(
            f"there is no {kind} artifact",
            where=str(folder),
            expected=f"a complete {kind} artifact",
            found="a folder without manifest.json" if folder.exists() else "nothing",
            remedy=made_by,
        ) from None
    except ValueError as error:
        raise manifest_error(folder, made_by, "a manifest is damaged", "a small file", str(error)) from error
    entries = read_entries(raw, kind, folder, made_by)
    artifact = Artifact(folder, kind, hashlib.sha256(raw).hexdigest(), {}, entries, made_by)
    dims: dict[str, int] = {}
    for name, entry in entries.items():
        path, spec = folder / name, KINDS[kind][name]
        size = path.stat().st_size if path.is_file() else None
        if size != entry["bytes"]:
            found = "no file" if size is None else f"{size} bytes"
            raise artifact.damaged(name, found, f"{entry['bytes']} bytes")
        if spec.shape is not None:
            check_values(path, dims, spec, entry["dtype"], tuple(entry["shape"]), remedy=made_by)
    return replace(artifact, dims=dims)


def check_values(
    path: Path, dims: dict[str, int], spec: FileSpec, dtype: np.dtype[Any] | str, shape: tuple[int, ...],
    remedy: str | None = None,
) -> None:  # fmt: skip
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
            remedy=remedy,
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
