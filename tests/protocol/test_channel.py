"""Messages over descriptors: of any length, cut anywhere, and asked for without waiting."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from record_processor import ProtocolError
from record_processor.worker.channel import (
    MOST_FRAME_BYTES,
    Channel,
    DaemonGoneError,
    FrameChannel,
    LineChannel,
)
from tests.packing import frame


class Ends:
    """A channel, and the other ends of what it reads from and writes to."""

    channel: Channel
    read_fd: int
    write_fd: int

    def on_the_wire(self, message: bytes) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        for fd in {self.write_fd, self.read_fd}:
            with suppress(OSError):
                os.close(fd)
        self.channel.close()


class Pipes(Ends):
    def __init__(self) -> None:
        channel_reads, self.write_fd = os.pipe()
        self.read_fd, channel_writes = os.pipe()
        self.channel = LineChannel(channel_reads, channel_writes)

    def on_the_wire(self, message: bytes) -> bytes:
        return message + b"\n"


class Socket(Ends):
    def __init__(self) -> None:
        ours, channels = socket.socketpair()
        self.read_fd = self.write_fd = ours.detach()
        self.channel = FrameChannel(channels.detach())

    def on_the_wire(self, message: bytes) -> bytes:
        return frame(message)


both = pytest.mark.parametrize("kind", [Pipes, Socket])


@pytest.fixture
def ends(kind: type[Ends]) -> Iterator[Ends]:
    """A channel over new descriptors."""
    made = kind()
    yield made
    made.close()


messages = st.lists(st.binary(min_size=1, max_size=30).map(lambda raw: raw.replace(b"\n", b"x")), max_size=20)


@both
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages, st.binary(max_size=3), st.lists(st.integers(0, 900), max_size=10))
def test_however_it_is_cut_messages_are_messages(
    kind: type[Ends], sent: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    """Pieces of any size give the same messages; what has no end is never a message."""
    ends = kind()
    text = b"".join(map(ends.on_the_wire, sent)) + rest.replace(b"\n", b"x")
    places = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    received = []
    for begin, end in pairwise(places):
        os.write(ends.write_fd, text[begin:end])
        while ends.channel.wait(0):
            received.append(ends.channel.read())
    os.close(ends.write_fd)
    assert received == sent
    with pytest.raises(DaemonGoneError):
        ends.channel.read()
    ends.close()


@both
def test_waiting_ends_in_time(ends: Ends) -> None:
    """With half a message there, there is still none."""
    assert not ends.channel.wait(0)
    os.write(ends.write_fd, b"\0\0\0\4ha")
    start = monotonic()
    assert not ends.channel.wait(0.05)
    assert 0.04 < monotonic() - start < 10


@both
def test_the_end_can_be_waited_for(ends: Ends) -> None:
    """A closed end wakes the one who waits, and every later read says the same."""
    os.close(ends.write_fd)
    assert ends.channel.wait(None)
    for _ in range(2):
        with pytest.raises(DaemonGoneError):
            ends.channel.read()


@pytest.mark.parametrize(("kind", "size"), [(Pipes, 100_000_000), (Socket, MOST_FRAME_BYTES)])
def test_large_messages(ends: Ends, size: int) -> None:
    """A batch of large items is one message: it takes time in proportion, not squared."""

    def write() -> None:
        rest = memoryview(ends.on_the_wire(b"x" * size))
        while rest:
            rest = rest[os.write(ends.write_fd, rest[:1_000_000]) :]

    writer = threading.Thread(target=write)
    writer.start()
    assert len(ends.channel.read()) == size
    writer.join()


@pytest.mark.parametrize("length", [0, MOST_FRAME_BYTES + 1, 2**32 - 1])
@pytest.mark.parametrize("kind", [Socket])
def test_a_length_that_cannot_be(ends: Ends, length: int) -> None:
    """It is refused before any of its bytes are there, and again whenever somebody asks."""
    os.write(ends.write_fd, length.to_bytes(4, "big"))
    for _ in range(2):
        with pytest.raises(ProtocolError, match=f"a frame of {length} bytes"):
            ends.channel.read()
        with pytest.raises(ProtocolError, match=f"a frame of {length} bytes"):
            ends.channel.wait(0)


@both
def test_long_messages_are_written_whole(ends: Ends) -> None:
    """A message longer than what the kernel holds takes several writes."""
    read = bytearray()
    message = ends.on_the_wire(b"x" * 1_000_000)

    def read_all() -> None:
        while len(read) < len(message):
            read.extend(os.read(ends.read_fd, 65_536))

    reader = threading.Thread(target=read_all)
    reader.start()
    ends.channel.write(b"x" * 1_000_000)
    reader.join()
    assert read == message


@both
def test_nobody_reads(ends: Ends) -> None:
    """Writing to a daemon that died says so."""
    os.close(ends.read_fd)
    with pytest.raises(DaemonGoneError) as caught:
        ends.channel.write(b"x")
    assert not caught.value.args


def test_a_daemon_that_died_without_reading() -> None:
    """A socket that was reset is the same as its end."""
    ends = Socket()
    ends.channel.write(b"never read")
    os.close(ends.write_fd)
    with pytest.raises(DaemonGoneError) as caught:
        ends.channel.read()
    assert not caught.value.args
    ends.close()


@both
def test_descriptors_closed_by_somebody_else(ends: Ends) -> None:
    """It is the end, with a reason: nobody waits for ever, or turns in circles."""
    ends.channel.close()
    for use in (ends.channel.read, lambda: ends.channel.wait(0), lambda: ends.channel.write(b"x")):
        with pytest.raises(DaemonGoneError, match="closed from within this process: Bad file descriptor"):
            use()
