"""The folder of a model: what is on the disk before what, and which folders are models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from support.system_calls import watch

from xmlcli.errors import ArtifactError
from xmlcli.serving import model_folder
from xmlcli.serving.contents import ModelContents
from xmlcli.serving.model_folder import FORMAT, KIND, check_target, read

NOTHING = cast(ModelContents, None)


@pytest.fixture
def _two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a model be two files and a card."""
    monkeypatch.setattr(model_folder, "to_files", lambda _: {"settings.json": b"{}", "about.json": b"{}"})
    monkeypatch.setattr(model_folder, "write_card", lambda *_: "card")


@pytest.mark.usefixtures("_two_files")
def test_files_then_manifest_then_folder_are_on_the_disk_before_the_old_model_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    model_folder.write(target, NOTHING)
    calls = watch(monkeypatch)
    model_folder.write(target, NOTHING)
    assert calls == [
        ("fsync", "tmp/settings.json"),
        ("fsync", "tmp/about.json"),
        ("fsync", "tmp/README.md"),
        ("fsync", "tmp/manifest.json"),
        ("fsync", "tmp"),
        ("rename", "model", "old"),
        ("replace", "tmp", "model"),
        ("fsync", tmp_path.name),
        ("rmtree", "old"),
    ]


@pytest.mark.usefixtures("_two_files")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}"),
        ({"format": FORMAT - 1}, f"format {FORMAT - 1}"),
        ({"format": None}, "format None"),
        ({"kind": "cake"}, "holds no model"),
    ],
)
def test_another_format_is_refused_be_it_earlier_or_later(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    model_folder.write(tmp_path / "model", NOTHING)
    path = tmp_path / "model" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ArtifactError, match=said):
        read(tmp_path / "model")


@pytest.mark.usefixtures("_two_files")
def test_a_changed_byte_is_refused_before_anything_is_made_of_it(tmp_path: Path) -> None:
    model_folder.write(tmp_path / "model", NOTHING)
    (tmp_path / "model" / "about.json").write_bytes(b"[]")
    with pytest.raises(ArtifactError, match="another sha256"):
        read(tmp_path / "model")


def test_only_nothing_an_empty_folder_and_a_model_are_replaced(tmp_path: Path) -> None:
    check_target(tmp_path / "absent")
    check_target(tmp_path)
    (tmp_path / "note").touch()
    with pytest.raises(ArtifactError, match="something else than a model"):
        check_target(tmp_path)
    with pytest.raises(ArtifactError, match="something else than a model"):
        check_target(tmp_path / "note")
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": KIND}))
    check_target(tmp_path)
