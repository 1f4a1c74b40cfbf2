"""A local HTTP server that misbehaves on demand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server offers at one path, and how it goes wrong.

    Attributes:
        content: the file.
        breaks_after: bytes after which each connection is closed; None for never.
        announced: Content-Length to claim, the true one if None.
        status: answer with this code in place of the file; `times` is how often, then the file comes.
        ranges: whether Range is honoured; wrong_range: whether another part is sent than asked for.
        validator: whether an ETag is sent; weak: whether it is one that promises no equal bytes.
        wrong_total: the size of the whole file that the first answer to a Range claims; None for the true one.
        asked: the Range headers received, "" for none.
    """

    content: bytes = b""
    breaks_after: int | None = None
    announced: int | None = None
    status: int | None = None
    times: int = 1_000_000
    ranges: bool = True
    wrong_range: bool = False
    validator: bool = True
    weak: bool = False
    wrong_total: int | None = None
    redirect: str | None = None
    asked: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        behaviour: Behaviour = self.server.paths.get(self.path, Behaviour(status=404))  # type: ignore[attr-defined]
        wanted = self.headers.get("Range", "")
        behaviour.asked.append(wanted)
        self.close_connection = True
        if behaviour.redirect:
            self.send_response(302)
            self.send_header("Location", behaviour.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if behaviour.status and behaviour.times > 0:
            behaviour.times -= 1
            self.send_error(behaviour.status)
            return
        etag = f'"{hashlib.md5(behaviour.content).hexdigest()}"'
        etag = f"W/{etag}" if behaviour.weak else etag
        start = 0
        if wanted and behaviour.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(behaviour.content):
                self.send_error(416)
                return
            shown = 0 if behaviour.wrong_range else start
            self.send_response(206)
            last = len(behaviour.content) - 1
            total = behaviour.wrong_total or len(behaviour.content)
            behaviour.wrong_total = None
            self.send_header("Content-Range", f"bytes {shown}-{last}/{total}")
        else:
            self.send_response(200)
        body = behaviour.content[start:]
        self.send_header("Content-Length", str(len(body) if behaviour.announced is None else behaviour.announced))
        if behaviour.validator:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body if behaviour.breaks_after is None else body[: behaviour.breaks_after])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def serving(paths: dict[str, Behaviour]) -> Iterator[str]:
    """The address of a server that offers some paths."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.paths = paths  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
