"""Fetching a collection end to end from a local server: in place and checked, or nothing left."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.http_server import Behaviour, serving
from typer.testing import CliRunner

from xmlcli.cli import app
from xmlcli.datasets.published import fetch as fetching
from xmlcli.datasets.published.catalogue import KnownDataset, find_known
from xmlcli.datasets.published.download import Patience
from xmlcli.datasets.published.fetch import fetch
from xmlcli.errors import AbsentDatasetError, DatasetError, LockedError

BRAVE = Patience(attempts=2, sleep=lambda seconds: None)
TRAIN, TEST = b"2 4 3\n0 0:1\n1,2 3:1\n", b"1 4 3\n1 2:1\n"


def archive(**files: bytes) -> bytes:
    """A zip of files in a folder, a dot spelled as two underscores."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in files.items():
            file.writestr(f"Eurlex/{name.replace('__', '.')}", data)
    return content.getvalue()


GOOD = archive(eurlex_train__txt=TRAIN, eurlex_test__txt=TEST)


def known(url: str | None, **changes: object) -> KnownDataset:
    values = {"name": "Tiny-3", "short_names": ("tiny",), "counts": (4, 3, 2, 1), "url": url} | changes
    return KnownDataset(**values)  # type: ignore[arg-type]


def fails(data: Path, collection: KnownDataset, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        fetch(collection, data, patience=BRAVE, **options)  # type: ignore[arg-type]
    assert not data.exists()
    return str(caught.value)


def test_a_collection_is_fetched_checked_and_put_in_place(tmp_path: Path) -> None:
    with serving({"/a": Behaviour(GOOD, breaks_after=100)}) as address:
        md5 = hashlib.md5(GOOD).hexdigest()
        found = fetch(known(f"{address}/a", md5=md5), tmp_path / "data", patience=BRAVE)
    assert found.path == tmp_path / "data" / "Tiny-3"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["Tiny-3"]
    assert sorted(path.name for path in found.path.iterdir()) == ["eurlex_test.txt", "eurlex_train.txt"]


def test_addresses_are_tried_in_turn_and_all_reasons_told(tmp_path: Path) -> None:
    paths = {
        "/page": Behaviour(b"<html>please confirm</html>"),
        "/cut": Behaviour(GOOD, announced=150),
        "/good": Behaviour(GOOD),
    }
    with serving(paths) as address:
        every = [f"{address}/{name}" for name in ("absent", "page", "cut")]
        message = fails(tmp_path / "data", known(None), addresses=every)
        for part in ("HTTP 404", "a web page", "cut short", "--url FILE"):
            assert part in message
        assert fetch(known(None), tmp_path / "data", addresses=[*every, f"{address}/good"], patience=BRAVE).path


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (archive(train__txt=TRAIN, test__txt=TEST.replace(b"1 4 3\n", b"2 4 3\n") + b"0 1:1\n"), "2 test documents"),
        (archive(train__txt=b"2 4 9\n0 0:1\n1 3:1\n", test__txt=b"1 4 9\n1 2:1\n"), "9 labels"),
        (archive(train__txt=TRAIN), "0 test documents"),
        (archive(train__txt=TRAIN.replace(b"3:1", b"7:1"), test__txt=TEST), "line 3: expected feature:value"),
        (archive(readme__md=b"hello"), "found: Eurlex/readme.md"),
    ],
    ids=["documents", "labels", "no test", "a bad line", "no dataset"],
)
def test_another_dataset_than_published_is_refused(tmp_path: Path, content: bytes, part: str) -> None:
    with serving({"/a": Behaviour(content)}) as address:
        assert part in fails(tmp_path / "data", known(f"{address}/a"))


def test_hostile_archives_leave_nothing(tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        for name in ("Eurlex/train.txt", "../../evil"):
            info = tarfile.TarInfo(name)
            info.size = len(TRAIN)
            file.addfile(info, io.BytesIO(TRAIN))
    with serving({"/a": Behaviour(content.getvalue())}) as address:
        assert "a path outside the folder" in fails(tmp_path / "data", known(f"{address}/a"))
    assert list(tmp_path.iterdir()) == []


def test_wrong_checksum_is_refused(tmp_path: Path) -> None:
    with serving({"/a": Behaviour(GOOD)}) as address:
        assert "md5 0123" in fails(tmp_path / "data", known(f"{address}/a", md5="0123"))


def test_an_archive_got_by_hand_is_used_and_kept(tmp_path: Path) -> None:
    (tmp_path / "Eurlex.zip").write_bytes(GOOD)
    assert fetch(known(None), tmp_path / "data", addresses=[str(tmp_path / "Eurlex.zip")]).path
    assert (tmp_path / "Eurlex.zip").exists()


def test_without_address_and_with_something_in_the_way(tmp_path: Path) -> None:
    assert "no address of Tiny-3 is known" in fails(tmp_path / "data", known(None))
    (tmp_path / "data" / "Tiny-3").mkdir(parents=True)
    with pytest.raises(DatasetError, match="in the way"):
        fetch(known("http://127.0.0.1:1/a"), tmp_path / "data")


def test_two_at_once_are_refused_and_an_interruption_keeps_what_came(tmp_path: Path) -> None:
    large = bytes(600_000) + GOOD

    def stop(label: str, done: int, total: int) -> None:
        if label.startswith("download"):
            with pytest.raises(LockedError):
                fetch(known("http://127.0.0.1:1/a"), tmp_path)
            raise KeyboardInterrupt

    behaviour = Behaviour(large)
    with serving({"/a": behaviour}) as address:
        with pytest.raises(KeyboardInterrupt):
            fetch(known(f"{address}/a"), tmp_path, progress=stop)
        assert [path.name for path in tmp_path.iterdir()] == [".fetch-Tiny-3"]
        have = (tmp_path / ".fetch-Tiny-3" / "archive.part").stat().st_size
        fetch(known(f"{address}/a"), tmp_path, patience=BRAVE)
    assert behaviour.asked == ["", f"bytes={have}-"]
    assert [path.name for path in tmp_path.iterdir()] == ["Tiny-3"]


def test_a_killed_fetch_goes_on_too(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from xmlcli.datasets.published.fetch import fetch\n"
        "from xmlcli.datasets.published.catalogue import KnownDataset\n"
        "stop = lambda label, done, total: label.startswith('download') and os._exit(9)\n"
        "fetch(KnownDataset('Tiny-3', (), (4, 3, 2, 1), url=sys.argv[1]), Path(sys.argv[2]), progress=stop)"
    )
    behaviour = Behaviour(bytes(600_000) + GOOD)
    with serving({"/a": behaviour}) as address:
        assert subprocess.run([sys.executable, "-c", code, f"{address}/a", str(tmp_path)], check=False).returncode == 9
        fetch(known(f"{address}/a"), tmp_path, patience=BRAVE)
    assert len(behaviour.asked) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["Tiny-3"]


def test_command_says_what_it_fetches_and_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMLCLI_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fetching, "_check_counts", lambda known, dataset: None)
    run = CliRunner().invoke
    with serving({"/a": Behaviour(GOOD)}) as address:
        result = run(app, ["fetch", "eurlex", "--url", f"{address}/a"])
    assert result.exit_code == 0, result.output
    assert "fetching EURLex-4K (3,809 test documents, 15,539 training documents, 3,993 labels" in result.output
    assert f"{address}/a" in result.output
    assert run(app, ["fetch", "eurlex"]).output.startswith("EURLex-4K is here already: data/EURLex-4K")


def test_train_fetches_what_is_missing_or_says_in_three_lines_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XMLCLI_DATA", raising=False)
    monkeypatch.delenv("XMLCLI_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    with serving({}) as address:
        monkeypatch.setattr(KnownDataset, "addresses", property(lambda self: (f"{address}/absent",)))
        result = run(app, ["train", "--dataset", "eurlex"])
    assert isinstance(result.exception, AbsentDatasetError)
    lines = str(result.exception).splitlines()
    assert lines[0].startswith("EURLex-4K is not on this machine, and could not be fetched: HTTP 404")
    assert lines[1].startswith("get its archive with a browser: http")
    assert lines[2].startswith("then type: xmlcli fetch EURLex-4K --url FILE")
    assert max(map(len, lines)) < 120
    assert f"from {address}/absent" in result.output
    assert not (tmp_path / "data").exists()
    monkeypatch.setenv("XMLCLI_OFFLINE", "1")
    result = run(app, ["train", "--dataset", "eurlex"])
    assert "XMLCLI_OFFLINE forbids to fetch it" in str(result.exception)
    assert len(str(result.exception).splitlines()) == 3
    assert "fetching" not in result.output


def test_every_address_is_of_its_publisher() -> None:
    eurlex = find_known("eurlex")
    assert eurlex is not None
    assert all("id=0B3lPMIHmG6vGU0VTR1pCejFpWjg&" in address for address in eurlex.addresses)
    assert eurlex.addresses[0].startswith("https://drive.usercontent.google.com/download?")


def test_an_address_longer_than_a_file_name_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="could not be fetched"):
        fetch(known(f"http://127.0.0.1:1/{'a' * 300}"), tmp_path / "data", patience=BRAVE)
