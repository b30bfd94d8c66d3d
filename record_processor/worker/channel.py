"""Lines of bytes over two file descriptors. Used by conversation; knows nothing of what the lines mean."""

from __future__ import annotations

import os
import select
from collections import deque
from time import monotonic
from typing import Final

_READ_BYTES: Final = 1 << 20


class DaemonGoneError(BaseException):
    """The daemon closed the pipe: it is dead, or done with us.

    No `Exception`, so that a handler which asks for a checkpoint and catches everything cannot live on.
    """


class Channel:
    """Reads lines, each of any length, and can be asked whether one is there; writes lines."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        """Take over two open, blocking file descriptors; `close` closes them."""
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._poll = select.poll()
        self._poll.register(read_fd, select.POLLIN)
        self._lines: deque[bytes] = deque()
        self._begun: list[bytes] = []  # the pieces of a line whose end is not here yet
        self._is_ended = False

    def wait(self, timeout_seconds: float | None) -> bool:
        """Wait, for ever with None, until `read_line` would not block; return whether it would not."""
        deadline = None if timeout_seconds is None else monotonic() + timeout_seconds
        while not self._lines and not self._is_ended:
            if not self._poll.poll(_milliseconds_until(deadline)):
                return False
            self._read_some()
        return True

    def read_line(self) -> bytes:
        """Return the next line, without its end, once it is there. Raises DaemonGoneError at the end."""
        self.wait(None)
        if not self._lines:
            raise DaemonGoneError
        return self._lines.popleft()

    def write_line(self, line: bytes) -> None:
        """Write a line and its end. Raises DaemonGoneError if nobody reads any more."""
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._write_fd, rest) :]
        except BrokenPipeError:
            raise DaemonGoneError from None

    def close(self) -> None:
        """Close both file descriptors."""
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _read_some(self) -> None:
        """Read what is there. Pieces are joined once their line is complete: no quadratic copying."""
        piece = os.read(self._read_fd, _READ_BYTES)
        if not piece:
            self._is_ended = True  # a line without its end is one that the daemon did not live to finish
            return
        first, *rest = piece.split(b"\n")
        self._begun.append(first)
        if rest:
            self._lines.append(b"".join(self._begun))
            self._lines.extend(rest[:-1])
            self._begun = rest[-1:]


def _milliseconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic()) * 1000
