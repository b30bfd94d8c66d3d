"""Reads and writes HTTP/1.1 messages, requests and answers alike, touching as few bytes as possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from typing import Final

_LONGEST_LINE: Final = 64 * 1024
_MOST_HEADERS: Final = 200


class WireError(Exception):
    """The other side does not speak HTTP, or stopped in the middle of a message."""


@dataclass(slots=True)
class Message:
    """A request or an answer."""

    start_line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first header of that name, "" if there is none; names are compared without case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")

    @property
    def status(self) -> int:
        """The status code; of an answer only."""
        return int(self.start_line.split(" ", 2)[1])

    def with_body(self, body: bytes, drop: frozenset[str] = frozenset()) -> Message:
        """Return it with another body and Content-Length, without the headers in `drop` (lower case)."""
        replaced = drop | {"content-length", "transfer-encoding"}
        headers = [(key, value) for key, value in self.headers if key.lower() not in replaced]
        return Message(self.start_line, [*headers, ("Content-Length", str(len(body)))], body)

    def encode(self) -> bytes:
        """Return it as it goes over the wire."""
        lines = [self.start_line, *(f"{key}: {value}" for key, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def read_message(stream: BufferedReader, send: Callable[[bytes], None] | None = None) -> Message | None:
    """Read one message; None if the other side closed the connection before it began.

    `send` answers a client that waits for leave to send its body. Raises WireError, and OSError as the socket
    does.
    """
    start_line = _read_line(stream, at_start=True)
    if not start_line:
        return None
    message = Message(start_line, [], b"")
    while line := _read_line(stream):
        name, separator, value = line.partition(":")
        if not separator or len(message.headers) >= _MOST_HEADERS:
            raise WireError(f"not a header: {line[:80]!r}")
        message.headers.append((name.strip(), value.strip()))
    if send is not None and message.header("Expect").lower() == "100-continue":
        send(b"HTTP/1.1 100 Continue\r\n\r\n")
    message.body = _read_body(stream, message)
    return message


def _read_body(stream: BufferedReader, message: Message) -> bytes:
    if message.header("Transfer-Encoding").lower() == "chunked":
        return _read_chunks(stream)
    length = message.header("Content-Length") or "0"
    return _read_exactly(stream, _number(length, 10))


def _read_chunks(stream: BufferedReader) -> bytes:
    chunks = []
    while size := _number(_read_line(stream).partition(";")[0], 16):
        chunks.append(_read_exactly(stream, size))
        _read_line(stream)
    while _read_line(stream):  # trailers
        pass
    return b"".join(chunks)


def _read_exactly(stream: BufferedReader, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise WireError(f"{len(data)} bytes came instead of {size}")
    return data


def _read_line(stream: BufferedReader, at_start: bool = False) -> str:
    line = stream.readline(_LONGEST_LINE)
    if line.endswith(b"\n"):
        return line.rstrip(b"\r\n").decode("latin-1")
    if at_start and not line:
        return ""
    raise WireError("the connection ended inside a message's head")


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise WireError(f"not a length: {text[:80]!r}")
    return number
