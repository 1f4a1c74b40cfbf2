"""Download one file over HTTP: resume after a break, trust no length, compare the checksum if one is known.

What has come lies in `<target>.part`, what it is part of in `<target>.part.json`; a later call goes on from there if
the server still offers the same file. The target itself appears when the file is whole.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xmlcli.errors import DatasetError
from xmlcli.progress import Progress, silent
from xmlcli.version import __version__

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 60
_MOST_BYTES = 64 << 30
_MOST_DIGITS = 18


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    Attributes:
        attempts: so many in a row that come no further are the end; one that does starts the count anew.
        first_wait: seconds before the second attempt; doubled each time.
        sleep: how to wait.
    """

    attempts: int = 5
    first_wait: float = 1.0
    sleep: Callable[[float], None] = time.sleep


class _BrokenOffError(Exception):
    """The connection ended early, or the server is out of order for the moment."""


@dataclass
class _Part:
    """What has come so far of one address's file."""

    target: Path
    url: str

    @property
    def path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note_path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def validator(self) -> str | None:
        """What identifies the server's file that the part belongs to; None where it is of another address."""
        try:
            note = json.loads(self.note_path.read_text(encoding="utf-8"))
            return str(note["validator"]) if note["url"] == self.url and note["validator"] else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def start(self, validator: str | None) -> None:
        """Forget what has come and begin a file of this identity."""
        self.note_path.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")
        self.path.write_bytes(b"")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    md5: str | None = None,
    patience: Patience | None = None,
    progress: Progress = silent,
) -> None:
    """Download one file.

    Args:
        url: an http or https address.
        target: where the file goes; its folder must exist.
        md5: what the file must hash to, where that is known.
        patience: how long to bear with the server.
        progress: told KiB done and in all (0 where the server does not say).

    Raises:
        DatasetError: the server refuses, breaks off without end, or sends another file than expected. Nothing is
            left then. After an interruption (Ctrl-C, kill) the part remains.
    """
    if not _is_address(url):
        raise DatasetError(f"{url} cannot be downloaded", expected="an address that begins with http:// or https://")
    part = _Part(target, url)
    try:
        _persist(part, patience or Patience(), progress)
        if md5 is not None:
            _check_md5(part.path, md5, url)
    except DatasetError:
        part.remove()
        raise
    part.path.replace(target)
    part.note_path.unlink(missing_ok=True)


def _is_address(url: str) -> bool:
    """Whether a text is an address with a host that can be asked."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # ValueError where it is no number
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _count(text: str) -> int | None:
    """Return a number of bytes as a server states it, None where it states none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _persist(part: _Part, patience: Patience, progress: Progress) -> None:
    """Try until the part is whole or patience is at an end."""
    idle, furthest = 0, part.size()
    while True:
        try:
            _receive(part, progress)
            return
        except _BrokenOffError as error:
            idle = 0 if part.size() > furthest else idle + 1
            furthest = max(furthest, part.size())
            if idle >= patience.attempts:
                raise _failed(part.url, f"broken off {patience.attempts} times in a row ({error})") from error
            patience.sleep(patience.first_wait * 2 ** max(idle - 1, 0))


def _receive(part: _Part, progress: Progress) -> None:
    """Ask once for what is missing, and append what arrives.

    Raises:
        _BrokenOffError: it did not all come. DatasetError: the server refuses.
    """
    validator = part.validator()
    if validator is None:
        part.remove()
    have = part.size()
    headers = {"User-Agent": f"xmlcli/{__version__}", "Accept-Encoding": "identity"}
    if have and validator is not None:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(part.url, headers=headers), timeout=_TIMEOUT_SECONDS
        ) as response:
            total = _begin(part, response, have)
            with part.path.open("ab") as file:
                done = file.tell()
                while block := response.read(_BLOCK):
                    file.write(block)
                    done += len(block)
                    if done > _MOST_BYTES:
                        raise _failed(part.url, f"more than {_MOST_BYTES:,} bytes")
                    progress(f"download {part.target.name}, KiB", done >> 10, (total or 0) >> 10)
            if total is not None and done < total:
                raise _BrokenOffError(f"{done:,} of {total:,} bytes")
            if total is not None and done > total:
                part.remove()
                raise _BrokenOffError(f"{done:,} bytes where {total:,} were announced")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is longer than the file: begin anew
            part.remove()
            raise _BrokenOffError("the file on the server has changed") from error
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _BrokenOffError(f"HTTP {error.code} {error.reason}") from error
        raise _failed(part.url, f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, socket.gaierror) and not have:
            raise _failed(part.url, f"no such host, or no network ({error.reason.strerror})") from error
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _begin(part: _Part, response: Any, have: int) -> int | None:
    """See whether the server goes on or begins anew, and return the size of the whole file where it says so."""
    size = _count(response.headers.get("Content-Length", ""))
    if response.status == 206:
        unit_and_range, _, whole = response.headers.get("Content-Range", "").partition("/")
        if unit_and_range.startswith(f"bytes {have}-"):
            stated = _count(whole)
            return stated if stated is not None else None if size is None else have + size
        part.remove()
        raise _BrokenOffError("the server sent another part than asked for")
    etag = response.headers.get("ETag", "")
    part.start(etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified"))
    return size


def _check_md5(path: Path, md5: str, url: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "md5").hexdigest()
    if actual != md5:
        raise DatasetError(f"{url} sent another file than expected", expected=f"md5 {md5}", found=f"md5 {actual}")


def _failed(url: str, why: str) -> DatasetError:
    return DatasetError(f"{url} could not be downloaded", found=why)
