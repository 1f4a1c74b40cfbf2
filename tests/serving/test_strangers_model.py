"""Folders of strangers whose hashes fit: each is refused in one line, or is a model that answers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from support import small_model

from xmlcli.errors import ArtifactError
from xmlcli.serving import model_folder
from xmlcli.serving.model import Model, load

Edit = Callable[[Any], Any]
TEXTS = [*small_model.texts_and_labels(6, 5)[0], "", "unheard"]
BAD_JSON: list[Any] = [
    None, True, 0, -1, 7, 10**9, 10**18, 10**30, 0.5, -1e300, "", "x", "\x1b[31m", [], [1], [[]], {}, {"a": 1},
]  # fmt: skip


@cache
def folder(what: str) -> Path:
    if what == "subjects":
        return small_model.folder()
    path = small_model.run(what) / "exported"
    Model.of(small_model.trained(what).contents()).save(path)
    return path


def with_file(target: Path, what: str, name: str, raw: bytes | None) -> Path:
    """A copy of a model, by links, with another content of one file, or without it, and a manifest that fits."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in folder(what).iterdir():
        os.link(path, target / path.name)
    manifest = json.loads((target / "manifest.json").read_bytes())
    (target / name).unlink(missing_ok=True)
    manifest["files"].pop(name, None)
    if raw is not None:
        (target / name).write_bytes(raw)
        manifest["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    (target / "manifest.json").unlink()
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


def is_refused(target: Path) -> bool:
    """Load and ask; whatever else than a refusal in one line or an answer comes out fails the test."""
    try:
        model = load(target)
    except ArtifactError as refusal:
        told = str(refusal)
    else:
        told = ""
    if told:
        assert str(target) in told
        assert len(told) < 1500
        return True
    labels, probabilities = model.top_k(TEXTS, 5) if model.takes_text else model.top_k(np.eye(3, model.num_features), 5)
    assert ((labels >= 0) & (labels <= model.num_labels)).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    return False


def some(variants: Iterable[Any], count: int) -> list[Any]:
    """So many of the variants, the same each time."""
    return random.Random(0).sample(every := list(variants), min(count, len(every)))


def other_tensors(array: np.ndarray) -> Iterator[np.ndarray]:
    """The same numbers in other dtypes and shapes, and other numbers of the right ones."""
    yield from (array[:-1], array[:0], np.concatenate([array, array]), array[None], np.zeros((), array.dtype))
    yield from (array.astype(dtype) for dtype in (np.float16, np.float64, np.int64, np.uint8))
    if array.ndim == 2:
        yield from (array[:, :-1], array.T, array[:, :0], np.hstack([array, array]))
    if array.dtype == np.float32:
        for value in (np.nan, np.inf, 3e38, -1.0):
            yield np.append(array.flat[:-1], np.float32(value))[: array.size].reshape(array.shape)
            yield np.full_like(array, value)
    else:
        info = np.iinfo(array.dtype)
        for value in (0, 1, 128, info.min, info.max):
            last = np.array(value).astype(array.dtype)
            yield np.append(array.flat[:-1], last)[: array.size].reshape(array.shape)
            yield np.full_like(array, last)


def changed_tensors(raw: bytes) -> Iterator[bytes]:
    """One tensor at a time changed, left out or added."""
    tensors = load_tensors(raw)
    for name, array in tensors.items():
        yield from (save_tensors({**tensors, name: np.ascontiguousarray(other)}) for other in other_tensors(array))
        yield save_tensors({key: value for key, value in tensors.items() if key != name})
    yield save_tensors({**tensors, "more": np.zeros(3, np.float32)})
    yield from (raw[:9], raw[:-1], raw + b"x", b"", b"\xff" * 8 + raw[8:], raw[:8] + b"[" * (len(raw) - 8))
    length = int.from_bytes(raw[:8], "little")
    for dtype in (b"BF16", b"F8_E4M3", b"C64", b"F4"):
        yield raw[: 8 + length].replace(b'"F32"', b'"%s"' % dtype.ljust(3)) + raw[8 + length :]
    yield raw[: 8 + length].replace(b'"shape":[', b'"shape":[999999999,', 1) + raw[8 + length :]


def changed_json(value: Any) -> Iterator[Any]:
    """The value with one of its parts, at any depth, replaced, left out or added to."""
    yield from BAD_JSON
    if isinstance(value, dict):
        for key, part in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: other} for other in changed_json(part))
        yield {**value, "more": 1}
    elif isinstance(value, list) and value:
        yield value[:-1]
        yield [*value, value[-1]]
        yield value[::-1]
        yield from ([*value[:-1], other] for other in changed_json(value[-1]))


@pytest.mark.parametrize("what", ["subjects", "works"])
def test_no_tensor_of_a_stranger_does_worse_than_being_refused(tmp_path: Path, what: str) -> None:
    refused = []
    for path in sorted(folder(what).glob("*.safetensors")):
        variants = [None, *some(changed_tensors(path.read_bytes()), 50)]
        refused += [is_refused(with_file(tmp_path / "model", what, path.name, raw)) for raw in variants]
    assert np.mean(refused) > 0.5


@pytest.mark.parametrize("name", ["settings", "about", "vocabulary", "label_names"])
def test_no_json_of_a_stranger_does_worse_than_being_refused(tmp_path: Path, name: str) -> None:
    file = f"{name}.json"
    value = json.loads((folder("works") / file).read_bytes())
    raws = [json.dumps(other).encode() for other in some(changed_json(value), 60)]
    raws += [b"", b"{", b"\xff", b"[" * 10**6, b'{"a":' * 10**5, b"NaN", b'["\\ud800"]', b"1" * 10**5, b"1e999"]
    refused = [is_refused(with_file(tmp_path / "model", "works", file, raw)) for raw in raws]
    assert np.mean(refused) > 0.1


def test_what_loads_can_be_saved_again(tmp_path: Path) -> None:
    about = json.loads((folder("works") / "about.json").read_bytes())
    for other in some(changed_json(about["metrics"]), 25):
        target = with_file(tmp_path / "model", "works", "about.json", json.dumps(about | {"metrics": other}).encode())
        try:
            model = load(target)
        except ArtifactError:
            continue
        model.save(tmp_path / "again")


def edited(target: Path, edit: Edit) -> Path:
    with_file(target, "subjects", "README.md", b"")
    manifest = edit(json.loads((target / "manifest.json").read_bytes()))
    raw = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    (target / "manifest.json").write_bytes(raw)
    return target


@pytest.mark.parametrize("number", [4, 2, 0, -3, 3.5, "3", None, [3]])
def test_a_model_of_another_format_is_refused(tmp_path: Path, number: object) -> None:
    with pytest.raises(ArtifactError, match="another format"):
        load(edited(tmp_path / "model", lambda manifest: manifest | {"format": number, "written_by": "\x1b[31m" * 99}))


ENTRY = {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
MANIFESTS: dict[str, Edit] = {
    "absolute": lambda manifest: manifest | {"files": manifest["files"] | {"/etc/hostname": ENTRY}},
    "upwards": lambda manifest: manifest | {"files": manifest["files"] | {"../secret": ENTRY}},
    "itself": lambda manifest: manifest | {"files": manifest["files"] | {"manifest.json": ENTRY}},
    "dot": lambda manifest: manifest | {"files": manifest["files"] | {".": ENTRY}},
    "empty name": lambda manifest: manifest | {"files": manifest["files"] | {"": ENTRY}},
    "null byte": lambda manifest: manifest | {"files": manifest["files"] | {"a\0b": ENTRY}},
    "pickle": lambda manifest: manifest | {"files": manifest["files"] | {"weights.pkl": ENTRY}},
    "many": lambda manifest: manifest | {"files": {str(i): ENTRY for i in range(10_000)}},
    "size": lambda manifest: manifest | {"files": {"dense.safetensors": ENTRY | {"bytes": 10**18}}},
    "size of another type": lambda manifest: manifest | {"files": {"dense.safetensors": ENTRY | {"bytes": "3"}}},
    "list": lambda manifest: [manifest],
    "no list of files": lambda manifest: manifest | {"files": list(manifest["files"])},
    "no entry": lambda manifest: manifest | {"files": dict.fromkeys(manifest["files"])},
    "kind": lambda manifest: manifest | {"kind": ["xmlcli-model"]},
    "deep": lambda manifest: b"[" * 50_000,
    "bytes": lambda manifest: b"\xff\xfe" * 50,
}


@pytest.mark.parametrize("edit", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_of_a_stranger_is_refused(tmp_path: Path, edit: Edit) -> None:
    (tmp_path / "secret").write_bytes(b"abc")
    assert is_refused(edited(tmp_path / "model", edit))


def test_a_name_that_comes_twice_is_one_file(tmp_path: Path) -> None:
    def twice(manifest: Any) -> bytes:
        return json.dumps(manifest).replace('"files": {', '"files": {"dense.safetensors": {"bytes": 1},').encode()

    assert not is_refused(edited(tmp_path / "model", twice))


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "/etc", "absent", "settings.json", "pipe"])
@pytest.mark.parametrize("name", ["settings.json", "manifest.json", "dense.safetensors"])
def test_only_plain_files_are_read(tmp_path: Path, name: str, target: str) -> None:
    model = with_file(tmp_path / "model", "subjects", "README.md", b"")
    (model / name).unlink()
    if target == "pipe":
        os.mkfifo(model / name)
    else:
        (model / name).symlink_to(target)
    with pytest.raises(ArtifactError):
        load(model)


def test_a_link_to_the_right_content_is_that_content(tmp_path: Path) -> None:
    model = with_file(tmp_path / "model", "subjects", "README.md", b"")
    (model / "settings.json").rename(tmp_path / "blob")
    (model / "settings.json").symlink_to(tmp_path / "blob")
    assert not is_refused(model)


@pytest.mark.parametrize("name", ["settings.json", "manifest.json"])
def test_a_file_without_permission_is_not_called_damaged(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_file(tmp_path / "model", "subjects", "README.md", b"")
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ArtifactError, match=rf"cannot be read\nwhere: .*{name}\nfound: Permission denied") as error:
        load(model)
    assert "damaged" not in str(error.value)


def test_a_model_whose_numbers_are_not_finite_is_never_written(tmp_path: Path) -> None:
    contents = small_model.contents()
    broken = replace(contents, bias=np.where(np.arange(10) == 3, np.float32("nan"), contents.bias))
    with pytest.raises(ArtifactError, match=r"'bias' in dense.safetensors(.|\n)*NaN"):
        model_folder.write(tmp_path / "model", broken)
    assert not list(tmp_path.iterdir())
