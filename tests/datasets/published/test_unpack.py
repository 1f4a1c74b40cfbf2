"""Unpacking archives, hostile ones above all."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from unittest import mock

import pytest

from xmlcli.datasets.published import unpack as unpacking
from xmlcli.datasets.published.tar_stream import TarStream, TooLargeError
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


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"x": b"text"})
    content = bytearray(archive.read_bytes())
    for sign, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(sign) + at] |= 1
    archive.write_bytes(content)
    assert "an encrypted member" in refused(archive, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("bound", [1_000_000, 5_000_000])
def test_a_bomb_stops_at_the_bound(tmp_path: Path, bound: int) -> None:
    archive = zipped(tmp_path / "a", {"zeros": bytes(50_000_000)})
    assert archive.stat().st_size < 100_000
    assert f"more than {bound:,} bytes" in refused(archive, tmp_path / "out", bound=bound)
    assert sum(p.stat().st_size for p in (tmp_path / "out").iterdir()) <= bound


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


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, field: bytes | None = None) -> bytes:
    """A header of tar; `field` are the twelve bytes of its size."""
    info = member(name, kind)
    info.size = size
    content = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if field is not None:
        content[124:136] = field
        content[148:156] = b"%06o\0 " % (sum(content) - sum(content[148:156]) + 8 * 32)
    return bytes(content)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


END = bytes(1024)
FIRST = header("first", size=3) + padded(b"abc")


@pytest.mark.parametrize("kind", [b"x", b"X", b"g", b"L", b"K"])
def test_a_long_header_is_refused_before_it_is_read(tmp_path: Path, kind: bytes) -> None:
    with gzip.open(tmp_path / "a.tgz", "wb") as file:
        file.write(header("h", kind, 1 << 30) + bytes(1 << 20))
    before = Counter()
    with mock.patch.object(gzip.GzipFile, "read", before.counted(gzip.GzipFile.read)):
        assert "a header of 1,073,741,824 bytes, more than 65,536" in refused(tmp_path / "a.tgz", tmp_path / "out")
    assert before.total < 4096


class Counter:
    """Counts the bytes that a method returns."""

    def __init__(self) -> None:
        self.total = 0

    def counted(self, read: Callable[..., bytes]) -> Callable[..., bytes]:
        def wrapper(*arguments: object) -> bytes:
            content = read(*arguments)
            self.total += len(content)
            return content

        return wrapper


def test_a_chain_of_headers_is_followed_without_recursion(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(
        header("g", b"g", 9) + padded(b"9 a=bcde\n") + (header("x", b"x")) * 3000 + FIRST + END
    )
    unpack(tmp_path / "a", tmp_path / "out")
    assert (tmp_path / "out" / "first").read_bytes() == b"abc"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_that_are_skipped_count(tmp_path: Path, mode: str) -> None:
    archive = tarred(tmp_path / "a", [(member("__MACOSX/x"), bytes(5_000_000))], mode)
    assert "more than 1,000,000 bytes" in refused(archive, tmp_path / "out", bound=1_000_000)
    rmtree(tmp_path / "out")
    archive = tarred(tmp_path / "a", [(member(f"x{i}", tarfile.DIRTYPE), b"") for i in range(3000)], mode)
    assert "more than 1,000,000 bytes" in refused(archive, tmp_path / "out", bound=1_000_000)


def test_a_size_and_a_name_of_posix_take_the_place_of_the_headers(tmp_path: Path) -> None:
    records = b"9 size=3\n12 path=b/c\n"
    more = header("h", b"x", len(records)) + padded(records)
    (tmp_path / "a").write_bytes(more + header("first") + padded(b"abc") + header("last", size=1) + padded(b"z") + END)
    unpack(tmp_path / "a", tmp_path / "out")
    assert (tmp_path / "out" / "b" / "c").read_bytes() == b"abc"
    assert (tmp_path / "out" / "last").read_bytes() == b"z"


def test_a_file_that_ends_within_what_fills_a_member_up_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(header("first", size=3) + b"abc")
    assert "it ends within a member" in refused(tmp_path / "a", tmp_path / "out")


def test_as_much_is_read_as_the_bound_says() -> None:
    assert TarStream(io.BytesIO(b"0123456789"), 10).read(20) == b"0123456789"
    with pytest.raises(TooLargeError):
        TarStream(io.BytesIO(b"0123456789"), 9).read(20)


SIZES = [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"00zz0000003\0", b"-0000000003\0", b"777777777777"]
RECORDS = [b"size=-3", b"size=" + b"9" * 5000, b"size=3.0", b"size=\xb2", b"GNU.sparse.major=1", b"nonsense"]


@pytest.mark.parametrize("before", [b"", FIRST], ids=["first", "second"])
@pytest.mark.parametrize("field", SIZES, ids=repr)
def test_a_size_that_cannot_be_is_refused(tmp_path: Path, field: bytes, before: bytes) -> None:
    (tmp_path / "a").write_bytes(before + header("x", field=field) + bytes(512) + END)
    assert re.search("damaged archive|no archive", refused(tmp_path / "a", tmp_path / "out"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.decode("latin-1")[:9])
def test_a_record_that_cannot_be_is_refused(tmp_path: Path, record: bytes) -> None:
    length = next(n for n in range(len(record), len(record) + 9) if n == len(f"{n} ") + len(record) + 1)
    content = b"%d %s\n" % (length, record)
    (tmp_path / "a").write_bytes(header("h", b"x", len(content)) + padded(content) + FIRST + END)
    assert "damaged archive" in refused(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_contents_are_what_pythons_own_reader_finds(tmp_path: Path, form: int) -> None:
    random_ = random.Random(form)
    with tarfile.open(tmp_path / "a", "w:gz", format=form) as file:
        for number in range(60):
            deep = random_.choice(["", "a/", "ü/", "long" * 30 + "/", "deep/" * 40])
            if form == tarfile.USTAR_FORMAT and len(deep.encode()) > 110:
                deep = "d" * 90 + "/"
            info = member(f"{deep}{'n' * random_.randrange(1, 90)}{number}")
            info.size = random_.choice([0, 1, 511, 512, 513, 5000])
            info.mtime = random_.choice([1, 1.5])
            file.addfile(info, io.BytesIO(random_.randbytes(info.size)))
    unpack(tmp_path / "a", tmp_path / "out")
    with tarfile.open(tmp_path / "a") as file:
        expected = {info.name: file.extractfile(info).read() for info in file}  # type: ignore[union-attr]
    paths = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in paths} == expected
    assert len(expected) == 60


def test_names_that_are_none_are_refused(tmp_path: Path) -> None:
    empty = zipped(tmp_path / "a", {"q": b"x"})
    content = empty.read_bytes()
    flagged = content.replace(b"\x00\x00\x08\x00", b"\x00\x08\x08\x00").replace(b"q", b"\xff")
    assert flagged != content
    empty.write_bytes(flagged)
    assert "damaged archive" in refused(empty, tmp_path / "out")
    (tmp_path / "out").rmdir()
    for name in ("", ".", "./"):
        for archive in (zipped(tmp_path / "a", {name: b"x"}), tarred(tmp_path / "a", [(member(name), b"x")])):
            if name == "./" and zipfile.is_zipfile(archive):
                continue  # a folder
            assert "a member without a name" in refused(archive, tmp_path / "out")
            (tmp_path / "out").rmdir()


def test_a_large_directory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 9 << 20, 0, 0)
    (tmp_path / "a").write_bytes(bytes(9 << 20) + end)
    assert "a directory of 9,437,184 bytes" in refused(tmp_path / "a", tmp_path / "out")


def test_long_names_are_cut_in_what_is_said(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "a", [(member("x" * 60_000), b"x")])
    assert len(refused(archive, tmp_path / "out")) < 400
    (tmp_path / "out").rmdir()
    archive = tarred(tmp_path / "a", [(member("../" + "x" * 60_000), b"x")])
    assert len(refused(archive, tmp_path / "out")) < 400


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "pax"])
def test_damage_anywhere_is_a_refusal_or_right(tmp_path: Path, kind: str) -> None:
    contents = {"a/b": b"text " * 50, "é": b"", "__MACOSX/x": b"y", "l" * 120: b"z"}
    form = tarfile.PAX_FORMAT if kind == "pax" else tarfile.GNU_FORMAT
    if kind == "zip":
        zipped(tmp_path / "a", contents)
    else:
        with tarfile.open(tmp_path / "a", "w:gz" if kind == "gz" else "w", format=form) as file:
            for name, content in contents.items():
                info = member(name)
                info.size, info.mtime = len(content), 1.5
                file.addfile(info, io.BytesIO(content))
    whole, random_ = (tmp_path / "a").read_bytes(), random.Random(7)
    for number in range(150):
        damaged = bytearray(whole)
        for _ in range(random_.randrange(1, 4)):
            damaged[random_.randrange(len(damaged))] = random_.choice([0, 255, 48, 57, random_.randrange(256)])
        if kind in ("tar", "pax") and number % 2:
            for at in range(0, len(damaged) - 511, 512):  # headers whose sums are right all the same
                record = damaged[at : at + 512]
                damaged[at + 148 : at + 156] = b"%06o\0 " % (sum(record) - sum(record[148:156]) + 8 * 32)
        (tmp_path / "a").write_bytes(damaged)
        with contextlib.suppress(DatasetError):
            unpack(tmp_path / "a", tmp_path / "out")
        rmtree(tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
