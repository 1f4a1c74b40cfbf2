"""The manifest of an artifact: what it must say, whoever has written or damaged it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from xmlcli.errors import ArtifactError
from xmlcli.storage import files
from xmlcli.storage.files import Json
from xmlcli.storage.kinds import KINDS, FileSpec

FORMAT = 1
MANIFEST = "manifest.json"

_SHA256 = re.compile("[0-9a-f]{64}")
_MOST = 1 << 63


def manifest_error(folder: Path, made_by: str, message: str, expected: str, found: str) -> ArtifactError:
    """Return the error that refuses the manifest of a folder."""
    return ArtifactError(message, where=str(folder / MANIFEST), expected=expected, found=found, remedy=made_by)


def read_entries(raw: bytes, kind: str, folder: Path, made_by: str) -> dict[str, Mapping[str, Json]]:
    """Return what a manifest says of each file of the kind that the artifact has; ArtifactError where it is unfit.

    Each entry has `bytes` and `sha256`, and where the kind's table gives a shape, `dtype` and `shape`.
    """

    def fault(message: str, expected: str, found: str) -> ArtifactError:
        return manifest_error(folder, made_by, message, expected, found)

    try:
        manifest = files.parse_json(raw)
    except ValueError as error:
        raise fault(f"the manifest of the {kind} artifact is damaged", "JSON", str(error)) from error
    if not isinstance(manifest, dict):
        raise fault(f"the manifest of the {kind} artifact is damaged", "an object", type(manifest).__name__)
    if manifest.get("format") != FORMAT:
        found = f"format {manifest.get('format')!r:.40}"
        raise fault(f"the {kind} artifact was written by another version", f"format {FORMAT}", found)
    if manifest.get("kind") != kind:
        raise fault("an artifact is not of the kind asked for", kind, f"{manifest.get('kind')!r:.40}")
    if not isinstance(manifest.get("files"), dict):
        raise fault(f"the manifest of the {kind} artifact is damaged", "an object of files", "none")
    entries: dict[str, Mapping[str, Json]] = {}
    for name, spec in KINDS[kind].items():
        if name in manifest["files"]:
            entries[name] = manifest["files"][name]
            if missing := _missing(entries[name], spec):
                raise fault(f"the manifest of the {kind} artifact is damaged", missing, f"none for {name}")
        elif not spec.optional:
            raise fault(f"the {kind} artifact is not complete", f"a file {name}", "none in its manifest")
    return entries


def _missing(entry: Json, spec: FileSpec) -> str | None:
    """Return what an entry does not say, None where it is whole."""
    if not isinstance(entry, dict):
        return "an object"
    if not _is_count(entry.get("bytes")):
        return "a number of bytes"
    if not isinstance(entry.get("sha256"), str) or not _SHA256.fullmatch(entry["sha256"]):
        return "a sha256"
    shape = entry.get("shape")
    if spec.shape is not None and not (isinstance(shape, list) and all(map(_is_count, shape))):
        return "a shape"
    if spec.shape is not None and not isinstance(entry.get("dtype"), str):
        return "a dtype"
    return None


def _is_count(value: Json) -> bool:
    return type(value) is int and 0 <= value < _MOST
