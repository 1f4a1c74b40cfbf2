"""Unpacking archives, hostile ones above all."""

from __future__ import annotations

import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from xmlcli.datasets.published import unpack as unpacking
from xmlcli.datasets.published.unpack import unpack
from xmlcli.errors import DatasetError


def zipped(path: Path, members: dict[str, bytes], modes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            file.writestr(info, content)
    return path


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def refused(archive: Path, folder: Path, **bound: int) -> str:
    with pytest.raises(DatasetError) as caught:
        unpack(archive, folder, **bound)
    outside = sorted(path.name for path in folder.parent.iterdir())
    assert outside == sorted({archive.name, folder.name})
    return str(caught.value)


def test_plain_archives_are_unpacked(tmp_path: Path) -> None:
    content = {"Eurlex/": b"", "Eurlex/train.txt": b"1 2 3\n", "./Eurlex/inner/x": b"y", "__MACOSX/Eurlex/._t": b"z"}
    unpack(zipped(tmp_path / "a.zip", content), tmp_path / "zip")
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        members = [(member("Eurlex", tarfile.DIRTYPE), b""), *((member(n), c) for n, c in content.items() if c)]
        name = mode.replace(":", "")
        unpack(tarred(tmp_path / "a.tar", members, mode), tmp_path / name)
    for folder in ("zip", "w", "wgz", "wbz2", "wxz"):
        files = {str(p.relative_to(tmp_path / folder)) for p in (tmp_path / folder).rglob("*") if p.is_file()}
        assert files == {"Eurlex/train.txt", "Eurlex/inner/x"}
        assert (tmp_path / folder / "Eurlex/train.txt").read_bytes() == b"1 2 3\n"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:/evil", "C:evil"])
def test_paths_outside_are_refused(tmp_path: Path, name: str) -> None:
    for archive in (zipped(tmp_path / "a", {name: b"x"}), tarred(tmp_path / "a", [(member(name), b"x")])):
        assert "a path outside the folder" in refused(archive, tmp_path / "out")
        (tmp_path / "out").rmdir()


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    link = zipped(tmp_path / "a", {"l": b"/etc/passwd"}, {"l": stat.S_IFLNK | 0o777})
    assert "a link or device" in refused(link, tmp_path / "out")
    (tmp_path / "out").rmdir()
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        archive = tarred(tmp_path / "a", [(member("l", kind, "/etc/passwd"), b"")])
        assert "a link or device" in refused(archive, tmp_path / "out")
        (tmp_path / "out").rmdir()


def test_a_bomb_stops_at_the_bound(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"zeros": bytes(50_000_000)})
    assert archive.stat().st_size < 100_000
    assert "more than 1,000,000 bytes" in refused(archive, tmp_path / "out", bound=1_000_000)
    assert sum(p.stat().st_size for p in (tmp_path / "out").iterdir()) <= 1_000_000


def test_a_size_that_lies_is_found(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"x": bytes(100_000)})
    content = archive.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(content)
    assert "damaged archive" in refused(archive, tmp_path / "out")


def test_one_name_twice_and_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = tarred(tmp_path / "a", [(member("x"), b"1"), (member("X"), b"2")])
    assert "two members of one name" in refused(twice, tmp_path / "out")
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 3)
    many = zipped(tmp_path / "a", {str(i): b"" for i in range(5)})
    (tmp_path / "out" / "x").unlink()
    (tmp_path / "out").rmdir()
    assert "more than 3 members" in refused(many, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"<!DOCTYPE html>", "a web page"), (b"", "an empty file"), (b"hello", "b'hello'")],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a").write_bytes(content)
    assert f"found: {found}" in refused(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("cut", [30, 200, 400])
def test_cut_archives_are_refused(tmp_path: Path, cut: int) -> None:
    noise = random.Random(1).randbytes(3000)
    for archive in (zipped(tmp_path / "a", {"x": noise}), tarred(tmp_path / "a", [(member("x"), noise)])):
        archive.write_bytes(archive.read_bytes()[:cut])
        assert "archive" in refused(archive, tmp_path / "out")
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        (tmp_path / "out").rmdir()
