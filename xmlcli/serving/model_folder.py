"""The folder of an exported model: its format, writing it atomically, and reading it with every byte checked.

`manifest.json` names the format and its version, and the sha256 and size of each file. Matrices are safetensors, the
rest is JSON; nothing is pickled. `README.md` is a card for people, and the only file that may be edited. Nobody's
folder is trusted: `model_files` checks what fitting hashes do not tell.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from xmlcli.errors import ArtifactError
from xmlcli.serving.card import write_card
from xmlcli.serving.contents import ModelContents
from xmlcli.serving.model_files import FILES, from_files, to_files
from xmlcli.storage import files
from xmlcli.storage.atomic import atomic_folder, sync
from xmlcli.version import __version__

KIND, FORMAT = "xmlcli-model", 3
MANIFEST, CARD = "manifest.json", "README.md"
_MANIFEST_BYTES = 1 << 16  # at most; it names a dozen files


def write(folder: Path, contents: ModelContents) -> None:
    """Write a model. `folder` is absent, empty or an older model; it is replaced atomically.

    Raises:
        ArtifactError: something else lies there, or the model holds numbers out of range.
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
    """Read a model, compare every file with the manifest, and check what it holds.

    Raises:
        ArtifactError: there is no model, it is damaged, or a later version of the program wrote it.
    """
    entries = {name: entry for name, entry in _read_manifest(folder).items() if name != CARD}
    with ThreadPoolExecutor() as pool:  # reading and hashing leave the interpreter free
        read_files = pool.map(lambda item: _read_file(folder / item[0], item[1]), entries.items())
        by_name = dict(zip(entries, read_files, strict=True))
    try:
        return from_files(by_name)
    except ArtifactError as error:
        raise damaged(folder, " ".join(str(error).split())) from error


def damaged(path: Path, found: str) -> ArtifactError:
    """Return the error for a model that cannot be used."""
    return ArtifactError("the model is damaged", where=str(path), found=found, remedy="copy or export it again")


def _write_files(folder: Path, contents: ModelContents) -> None:
    by_name = to_files(contents)
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


def _read_manifest(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the size and sha256 of each file by name, all names being of this format."""
    path = folder / MANIFEST
    try:
        manifest = files.parse_json(_read_bytes(path, at_most=_MANIFEST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(
            "there is no model", where=str(folder), expected=f"a folder with {MANIFEST}", remedy="xmlcli export"
        ) from None
    except ValueError as error:
        raise damaged(path, f"no JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ArtifactError(
            "the folder holds no model",
            where=str(folder),
            expected=f"kind {KIND!r} in {MANIFEST}",
            remedy="name a folder that xmlcli export wrote",
        )
    if manifest.get("format") != FORMAT:
        written_by = str(manifest.get("written_by"))[:80]
        raise ArtifactError(
            "the model was written in another format",
            where=str(folder),
            expected=f"format {FORMAT}",
            found=f"format {str(manifest.get('format'))[:80]}, by {written_by}",
            remedy="install that version of xmlcli, or export the model again",
        )
    entries = manifest.get("files")
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise damaged(path, "no list of files")
    unknown = [name for name in entries if name not in (*FILES, CARD)]
    if unknown:
        raise damaged(path, f"{unknown[0][:80]!r} in the list of files, where this format has none")
    return entries


def _read_file(path: Path, entry: Mapping[str, Any]) -> bytes:
    """Return the content of a file that the manifest describes."""
    try:
        raw = _read_bytes(path, at_most=entry.get("bytes"))
    except FileNotFoundError as error:
        raise damaged(path, str(error.strerror)) from error
    if len(raw) != entry.get("bytes"):
        raise damaged(path, f"{len(raw):,} bytes")
    if hashlib.sha256(raw).hexdigest() != entry.get("sha256"):
        raise damaged(path, "another sha256 than in the manifest")
    return raw


def _read_bytes(path: Path, *, at_most: object) -> bytes:
    """Return the content of a plain file, which nothing else (a pipe, a device) is taken for.

    Raises FileNotFoundError or NotADirectoryError where there is none, ArtifactError where it cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise damaged(path, "no plain file")
        if type(at_most) is not int or status.st_size > at_most:
            raise damaged(path, f"{status.st_size:,} bytes")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        remedy = "make it readable" if isinstance(error, PermissionError) else None
        raise ArtifactError("a model cannot be read", where=str(path), found=error.strerror, remedy=remedy) from error
