"""Messages as bytes, in frames or lines, over file descriptors. Used by conversation; knows no meanings."""

from __future__ import annotations

import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, TypeVar

from record_processor.errors import ProtocolError

MOST_FRAME_BYTES: Final = 16 << 20
"""The longest frame that the daemon may send."""

_LENGTH_BYTES: Final = 4
_READ_BYTES: Final = 1 << 18
_CLOSED: Final = -1
_Read = TypeVar("_Read")


class DaemonGoneError(BaseException):
    """The connection is closed: the daemon is dead, or done with us; or else its text says what happened.

    No `Exception`, so that a handler which asks for a checkpoint and catches everything cannot live on.
    """


class Channel(ABC):
    """Reads messages of any length, and can be asked whether one is there; writes messages."""

    @abstractmethod
    def wake_on(self, fd: int) -> None:
        """Let `wait` return early when this descriptor is readable; it is for the caller to read it."""

    @abstractmethod
    def has_arrived(self) -> bool:
        """Whether `read` would not block."""

    @abstractmethod
    def wait(self, timeout_seconds: float | None) -> bool:
        """Wait, for ever with None, until `read` would not block; return whether it would not."""

    @abstractmethod
    def read(self) -> bytes | bytearray:
        """Return the next message once it is there.

        Raises DaemonGoneError at the end, and ProtocolError, again and again, if it cannot be a message.
        """

    @abstractmethod
    def write(self, message: bytes) -> None:
        """Write a message. Raises DaemonGoneError if nobody reads any more."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


class _DescriptorChannel(Channel):
    """A channel over file descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        """Take over open, blocking file descriptors, which may be the same; `close` closes them."""
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._poll = select.poll()
        self._poll.register(read_fd, select.POLLIN)
        self._wake_fds: set[int] = set()
        self._is_ended = False

    def wake_on(self, fd: int) -> None:
        self._poll.register(fd, select.POLLIN)
        self._wake_fds.add(fd)

    def has_arrived(self) -> bool:
        """Whether `read` would not block. Asked before each record: it has no clock to look at."""
        while not self._is_ended and not self._is_whole():
            if all(fd in self._wake_fds for fd, _ in self._poll.poll(0)):
                return False
            self._is_ended = not self._read_some()
        return True

    def wait(self, timeout_seconds: float | None) -> bool:
        deadline = None if timeout_seconds is None else monotonic() + timeout_seconds
        while not self._is_ended and not self._is_whole():
            ready = self._poll.poll(_milliseconds_until(deadline))
            if all(fd in self._wake_fds for fd, _ in ready):
                return False
            self._is_ended = not self._read_some()
        return True

    def read(self) -> bytes | bytearray:
        while not self._is_ended and not self._is_whole():
            self._is_ended = not self._read_some()
        if not self._is_whole():  # what the daemon did not live to finish is no message
            raise DaemonGoneError
        return self._take()

    def write(self, message: bytes) -> None:
        rest = memoryview(self._wrapped(message))
        try:
            while rest:
                rest = rest[os.write(self._write_fd, rest) :]
        except (BrokenPipeError, ConnectionResetError):
            raise DaemonGoneError from None
        except OSError as error:
            raise _closed_here(error) from None

    def close(self) -> None:
        """Close the file descriptors, and forget them: they may soon be another file's."""
        for fd in {self._read_fd, self._write_fd}:
            with suppress(OSError):  # somebody in this process was faster
                os.close(fd)
        self._read_fd = self._write_fd = _CLOSED

    @abstractmethod
    def _read_some(self) -> bool:
        """Read what is there, or wait for it; return whether there was anything."""

    @abstractmethod
    def _is_whole(self) -> bool:
        """Whether a whole message was received. Raises ProtocolError if what was received cannot be one."""

    @abstractmethod
    def _take(self) -> bytes | bytearray:
        """Remove the message from what was received, and return it."""

    @abstractmethod
    def _wrapped(self, message: bytes) -> bytes:
        """Return what to send."""


class FrameChannel(_DescriptorChannel):
    """Frames over one socket: four bytes with the length, the most significant first, and the message."""

    def __init__(self, socket_fd: int) -> None:
        """Take over a connected, blocking socket."""
        super().__init__(socket_fd, socket_fd)
        self._begin()

    def _begin(self) -> None:
        """Expect a frame. It is read to where it stays: what is decoded of it is not copied."""
        self._is_length = True
        self._buffer = bytearray(_LENGTH_BYTES)
        self._missing = memoryview(self._buffer)

    def _read_some(self) -> bool:
        count = _or_end(lambda: os.readv(self._read_fd, [self._missing]), 0)
        self._missing = self._missing[count:]
        return count > 0

    def _is_whole(self) -> bool:
        if self._is_length and not self._missing:
            self._buffer = bytearray(self._length())
            self._missing = memoryview(self._buffer)
            self._is_length = False
        return not self._is_length and not self._missing

    def _length(self) -> int:
        length = int.from_bytes(self._buffer, "big")
        if not 0 < length <= MOST_FRAME_BYTES:
            raise ProtocolError(f"a frame of {length} bytes from the daemon is empty or too long")
        return length

    def _take(self) -> bytearray:
        message = self._buffer
        self._begin()
        return message

    def _wrapped(self, message: bytes) -> bytes:
        return len(message).to_bytes(_LENGTH_BYTES, "big") + message


class LineChannel(_DescriptorChannel):
    """Lines over two pipes."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        """Take over two open, blocking file descriptors."""
        super().__init__(read_fd, write_fd)
        # Its end grows and its beginning is deleted, both in constant time: no quadratic copying.
        self._received = bytearray()
        self._searched_bytes = 0  # in so many bytes of what was received there is no line's end

    def _read_some(self) -> bool:
        piece = _or_end(lambda: os.read(self._read_fd, _READ_BYTES), b"")
        self._received += piece
        return bool(piece)

    def _is_whole(self) -> bool:
        end = self._received.find(b"\n", self._searched_bytes)
        self._searched_bytes = len(self._received) if end < 0 else end
        return end >= 0

    def _take(self) -> bytes:
        end = self._received.index(b"\n")
        line = bytes(memoryview(self._received)[:end])
        del self._received[: end + 1]
        self._searched_bytes = 0
        return line

    def _wrapped(self, message: bytes) -> bytes:
        return message + b"\n"


def _or_end(read: Callable[[], _Read], nothing: _Read) -> _Read:
    """Return what is read, or nothing if the daemon is gone. Raises DaemonGoneError if the descriptor is."""
    try:
        return read()
    except ConnectionResetError:
        return nothing
    except OSError as error:
        raise _closed_here(error) from None


def _closed_here(error: OSError) -> DaemonGoneError:
    return DaemonGoneError(
        f"the connection to the daemon was closed from within this process: {error.strerror}"
    )


def _milliseconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic()) * 1000
