"""Connections to the server behind the proxy, kept for further calls."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

from record_processor.testing.http_wire import Message, WireError, read_message

_IDLE_SECONDS: Final = 5.0  # well below the 30 s after which DynamoDB Local closes an idle connection


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    reader: BufferedReader
    idle_since: float = 0.0

    def is_fresh(self) -> bool:
        """Whether the other side has neither closed it nor will before our next call is there."""
        is_readable = bool(select.select([self.socket], [], [], 0)[0])
        return not is_readable and time.monotonic() - self.idle_since < _IDLE_SECONDS

    def close(self) -> None:
        self.reader.close()
        self.socket.close()


class Upstream:
    """A pool of connections to one server. May be used from any thread."""

    def __init__(self, host: str, port: int) -> None:
        """Take the server's address; connections are made when needed."""
        self._address = (host, port)
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._busy: dict[int, _Connection] = {}
        self._is_closed = False

    def call(self, request: Message) -> Message:
        """Send a request and return its answer. Raises OSError or WireError; it is never sent twice."""
        connection = self._take()
        try:
            connection.socket.sendall(request.encode())
            answer = _read_answer(connection.reader)
        except BaseException:
            self._drop(connection)
            raise
        if answer.header("Connection").lower() == "close":
            self._drop(connection)
        else:
            self._give_back(connection)
        return answer

    def close(self) -> None:
        """End all connections; calls that wait for an answer fail."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for connection in self._busy.values():
                with suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)
        for connection in idle:
            connection.close()

    def _take(self) -> _Connection:
        while True:
            with self._lock:
                if self._is_closed:
                    raise WireError("the proxy is closed")
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connect()
            elif not connection.is_fresh():
                connection.close()
                continue
            with self._lock:
                self._busy[id(connection)] = connection
            return connection

    def _connect(self) -> _Connection:
        connected = socket.create_connection(self._address)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Connection(connected, connected.makefile("rb"))

    def _give_back(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            del self._busy[id(connection)]
            if not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def _drop(self, connection: _Connection) -> None:
        with self._lock:
            del self._busy[id(connection)]
        connection.close()


def _read_answer(reader: BufferedReader) -> Message:
    answer = read_message(reader)
    if answer is None:
        raise WireError("the server closed the connection instead of answering")
    return answer
