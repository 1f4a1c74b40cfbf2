"""Downloading from a server that breaks connections, lies, and changes its mind."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.http_server import Behaviour, serving

from xmlcli.datasets.published.download import Patience, _count, _Part, download
from xmlcli.errors import DatasetError

CONTENT = bytes(range(256)) * 4096
BRAVE = Patience(attempts=3, sleep=lambda seconds: None)


def get(tmp_path: Path, behaviour: Behaviour, md5: str | None = None) -> bytes:
    with serving({"/f": behaviour}) as address:
        download(f"{address}/f", tmp_path / "f", md5=md5, patience=BRAVE)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    return (tmp_path / "f").read_bytes()


def fails(tmp_path: Path, behaviour: Behaviour, md5: str | None = None) -> str:
    with pytest.raises(DatasetError) as caught:
        get(tmp_path, behaviour, md5)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_a_file_arrives_whole_with_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with serving({"/f": Behaviour(CONTENT)}) as address:
        download(f"{address}/f", tmp_path / "f", progress=lambda label, done, total: told.append((done, total)))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert told[-1] == (1024, 1024)


def test_broken_connections_are_taken_up_where_they_broke(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT, breaks_after=300_000)
    assert get(tmp_path, behaviour, hashlib.md5(CONTENT).hexdigest()) == CONTENT
    assert behaviour.asked == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_later_call_goes_on_after_an_interruption(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT)

    def stop(label: str, done: int, total: int) -> None:
        if done > 500:
            raise KeyboardInterrupt

    with serving({"/f": behaviour}) as address:
        with pytest.raises(KeyboardInterrupt):
            download(f"{address}/f", tmp_path / "f", progress=stop)
        have = (tmp_path / "f.part").stat().st_size
        assert have > 0
        assert not (tmp_path / "f").exists()
        download(f"{address}/f", tmp_path / "f")
    assert behaviour.asked == ["", f"bytes={have}-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT)

    def change(label: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with serving({"/f": behaviour}) as address:
        with pytest.raises(KeyboardInterrupt):
            download(f"{address}/f", tmp_path / "f", progress=change)
        behaviour.content = CONTENT[::-1]
        download(f"{address}/f", tmp_path / "f", patience=BRAVE)
    assert (tmp_path / "f").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("broken", [{"ranges": False}, {"wrong_range": True}, {"validator": False}, {"weak": True}])
def test_a_server_that_cannot_resume_is_given_up_in_the_end(tmp_path: Path, broken: dict[str, bool]) -> None:
    assert "broken off 3 times in a row" in fails(tmp_path, Behaviour(CONTENT, breaks_after=1000, **broken))


def test_a_length_that_is_too_long_is_given_up(tmp_path: Path) -> None:
    assert "broken off" in fails(tmp_path, Behaviour(CONTENT, announced=len(CONTENT) + 10, ranges=False))


def test_a_length_that_is_too_short_is_found_by_the_checksum(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT, announced=1000)
    assert "sent another file than expected" in fails(tmp_path, behaviour, hashlib.md5(CONTENT).hexdigest())


def test_more_than_was_announced_is_begun_anew(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT, breaks_after=300_000, wrong_total=400_000)

    def mend(label: str, done: int, total: int) -> None:
        if done > 400:
            behaviour.breaks_after = None

    with serving({"/f": behaviour}) as address:
        download(f"{address}/f", tmp_path / "f", patience=BRAVE, progress=mend)
    assert behaviour.asked == ["", "bytes=300000-", ""]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_begun_anew(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT)

    def stop(label: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with serving({"/f": behaviour}) as address:
        with pytest.raises(KeyboardInterrupt):
            download(f"{address}/f", tmp_path / "f", progress=stop)
        (tmp_path / "f.part").write_bytes(CONTENT + b"more")
        download(f"{address}/f", tmp_path / "f", patience=BRAVE)
    assert behaviour.asked == ["", f"bytes={len(CONTENT) + 4}-", ""]
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_wrong_content_is_found_by_the_checksum(tmp_path: Path) -> None:
    assert "expected: md5 0123" in fails(tmp_path, Behaviour(CONTENT), "0123")


def test_passing_faults_are_borne_and_refusals_are_not(tmp_path: Path) -> None:
    behaviour = Behaviour(CONTENT, status=503, times=2)
    assert get(tmp_path, behaviour) == CONTENT
    (tmp_path / "f").unlink()
    refused = Behaviour(CONTENT, status=403)
    assert "HTTP 403" in fails(tmp_path, refused)
    assert len(refused.asked) == 1


def test_only_http_is_followed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="http://"):
        download("file:///etc/hostname", tmp_path / "f")
    message = fails(tmp_path, Behaviour(redirect="file:///etc/hostname"))
    assert "could not be downloaded" in message


@pytest.mark.parametrize(
    "url",
    [
        "http://[",
        "http://",
        "http:///x",
        "http://a:b/",
        "http://a:99999999/",
        "http://a b/",
        "http://a/\r\nX: y",
        "http://\u00e9/",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused_at_once(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatasetError, match="cannot be downloaded"):
        download(url, tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stated", ["\u00b2", "9" * 5000, "-1", ""])
def test_a_length_that_is_no_number_is_none(stated: str) -> None:
    assert _count(stated) is None
    assert _count("12") == 12


def test_a_note_that_is_nested_deep_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.part.json").write_text("[" * 100_000)
    assert _Part(tmp_path / "a", "http://x").validator() is None


def test_nobody_there(tmp_path: Path) -> None:
    with serving({}) as address:
        pass
    with pytest.raises(DatasetError, match="broken off 3 times"):
        download(f"{address}/f", tmp_path / "f", patience=BRAVE)
    assert list(tmp_path.iterdir()) == []
