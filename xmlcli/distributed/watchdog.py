"""End all ranks when one has ended. Every rank keeps a connection to rank 0, which closes only when one of them ends.

A rank that finishes sends `done`; one that fails sends `fail` and the reason. A connection that closes without a line
belongs to a rank that was killed. Rank 0 then prints one line and tells the others to end. If rank 0 itself was killed,
rank 1 prints. Threads watch the connections, so that a rank that computes is ended too.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from xmlcli.errors import EXIT_ERROR, EXIT_TERMINATED, RanksError

REMEDY = "what to do: type the same command again; it goes on from the last finished stage or checkpoint"
_JOIN_SECONDS = 300.0
_SETTLE_SECONDS = 1.0  # between torchrun's signal and our end, for the watchdog to learn why
_SEND_SECONDS = 5.0


def end_process(line: str | None, print_error: Callable[[str], None]) -> NoReturn:
    """Print the line, if there is one, and end this process without unwinding it: other threads may be stuck."""
    if line:
        print_error(line)
    os._exit(EXIT_ERROR)


class RankZeroWatchdog:
    """Rank 0's end of the connections."""

    def __init__(self, size: int, token: str, *, loopback: bool, print_error: Callable[[str], None]) -> None:
        self._server = socket.create_server(("127.0.0.1" if loopback else "", 0))
        self._token = token
        self._print_error = print_error
        self._connections: dict[int, socket.socket] = {}
        self._size = size
        self._ending = threading.Lock()
        self.port: int = self._server.getsockname()[1]

    def start(self) -> None:
        """Wait for all other ranks, then watch them. Raises RanksError where one does not come."""
        deadline = time.monotonic() + _JOIN_SECONDS
        while len(self._connections) < self._size - 1:
            self._server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                missing = sorted(set(range(1, self._size)) - self._connections.keys())
                raise RanksError(f"ranks {missing} did not come", remedy="start as many as torchrun was told") from None
            connection.settimeout(_SEND_SECONDS)
            words = _read_line(connection).split()
            if len(words) == 2 and words[0] == self._token:
                _keep_alive(connection)
                self._connections[int(words[1])] = connection
            else:
                connection.close()
        self._server.close()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        selector = selectors.DefaultSelector()
        for rank, connection in self._connections.items():
            selector.register(connection, selectors.EVENT_READ, rank)
        while selector.get_map():
            for key, _ in selector.select():
                message = _read_line(self._connections[key.data])
                selector.unregister(key.fileobj)
                if message != "done":
                    self._end(message.removeprefix("fail ") if message else f"rank {key.data} has ended; {REMEDY}")

    def _end(self, why: str) -> None:
        with self._ending:
            self._send_to_all("fail")
            end_process(why, self._print_error)

    def finish(self, why: str | None) -> None:
        """Tell the other ranks that all is well, or that they have to end. The caller prints why."""
        self._ending.acquire()  # from here on nobody prints but the caller
        self._send_to_all("done" if why is None else "fail")

    def _send_to_all(self, line: str) -> None:
        for connection in self._connections.values():
            _send_line(connection, line)


class OtherRankWatchdog:
    """Another rank's end of its connection to rank 0."""

    def __init__(self, rank: int, address: tuple[str, int], token: str, *, print_error: Callable[[str], None]) -> None:
        self._rank = rank
        self._print_error = print_error
        try:
            self._connection = socket.create_connection(address, timeout=_JOIN_SECONDS)
        except OSError as error:
            raise RanksError(f"rank {rank} cannot reach rank 0", where=":".join(map(str, address)),
                             found=str(error)) from error  # fmt: skip
        _keep_alive(self._connection)
        _send_line(self._connection, f"{token} {rank}")

    def start(self) -> None:
        """Watch rank 0."""
        self._connection.settimeout(None)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        message = _read_line(self._connection)
        if message != "done":
            killed = not message and self._rank == 1
            end_process(f"rank 0 has ended; {REMEDY}" if killed else None, self._print_error)

    def finish(self, why: str | None) -> None:
        """Tell rank 0 that all is well, or why this rank fails. Rank 0 then prints that and ends all ranks."""
        _send_line(self._connection, "done" if why is None else f"fail {why}")
        if why is not None:
            time.sleep(_SEND_SECONDS)


def delay_termination() -> None:
    """On SIGTERM, wait a moment before ending. torchrun sends it to all ranks as soon as one has ended.

    Meanwhile the watchdog learns which rank that was. A thread waits for the signal, because the main thread may be
    waiting for another rank, deep in a library.
    """

    def end_later() -> None:
        signal.sigwait({signal.SIGTERM})
        time.sleep(_SETTLE_SECONDS)
        os._exit(EXIT_TERMINATED)

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # for threads to come, too
    threading.Thread(target=end_later, daemon=True).start()


def _keep_alive(connection: socket.socket) -> None:
    """Let the kernel notice within 40 seconds that the other machine has gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _send_line(connection: socket.socket, line: str) -> None:
    """Send one line; a rank that has ended gets nothing."""
    try:
        connection.sendall((line.replace("\n", "; ") + "\n").encode())
    except OSError:
        return


def _read_line(connection: socket.socket) -> str:
    """Return the next line, empty where the connection was closed."""
    message = b""
    while not message.endswith(b"\n"):
        try:
            piece = connection.recv(1)
        except OSError:
            return ""
        if not piece:
            return ""
        message += piece
    return message.decode(errors="replace").strip()
