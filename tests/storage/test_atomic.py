"""What is replaced is the old file or folder, or the new one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.system_calls import watch

from xmlcli.storage import files
from xmlcli.storage.atomic import atomic_file, atomic_folder


def test_a_folder_is_replaced_at_once_and_the_next_of_its_owner_sweeps_up(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    for content in ("old", "new"):
        with atomic_folder(target, ".7") as folder:
            (folder / "a").write_text(content)
    (target.parent / ".model.8.tmp").mkdir()  # what a kill left behind
    with pytest.raises(RuntimeError), atomic_folder(target, ".7") as folder:
        (folder / "a").write_text("half")
        raise RuntimeError
    assert (target / "a").read_text() == "new"
    assert sorted(path.name for path in target.parent.iterdir()) == [".model.8.tmp", "model"]
    with atomic_folder(target, ".8"):
        pass
    assert [path.name for path in target.parent.rglob("*")] == ["model"]


def test_an_atomic_file_is_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    files.write_json(path, {"step": 1})
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert files.read_json(path) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_replaces_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = watch(monkeypatch)
    files.write_json(tmp_path / "state.json", {"step": 1})
    assert calls == [("fsync", "tmp"), ("replace", "tmp", "state.json"), ("fsync", tmp_path.name)]


def test_a_folder_is_on_the_disk_before_it_replaces_another_which_goes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "a").write_text("old")
    calls = watch(monkeypatch)
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "a").write_text("new")
    assert calls == [
        ("fsync", "tmp"),
        ("rename", "model", "old"),
        ("replace", "tmp", "model"),
        ("fsync", tmp_path.name),
        ("rmtree", "old"),
    ]


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_a_folder_replaces_what_is_no_folder(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "model"
    if kind == "file":
        target.write_text("x")
    else:
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    with atomic_folder(target) as folder:
        (folder / "a").write_text("new")
    assert (target / "a").read_text() == "new"
    assert not target.is_symlink()
    assert not list(tmp_path.glob(".*"))
    assert not list(tmp_path.glob("elsewhere/*"))
