"""Lines over pipes: of any length, cut anywhere, and asked for without waiting."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from record_processor.worker.channel import Channel, DaemonGoneError


class Pipes:
    """A channel and the other ends of its pipes."""

    def __init__(self) -> None:
        channel_reads, self.write_fd = os.pipe()
        self.read_fd, channel_writes = os.pipe()
        self.channel = Channel(channel_reads, channel_writes)

    def close(self) -> None:
        for fd in (self.write_fd, self.read_fd):
            with suppress(OSError):
                os.close(fd)
        self.channel.close()


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """A channel over new pipes."""
    made = Pipes()
    yield made
    made.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.binary(max_size=30), max_size=20).map(b"\n".join), st.lists(st.integers(0, 300), max_size=10)
)
def test_however_it_is_cut_lines_are_lines(text: bytes, cuts: list[int]) -> None:
    """Pieces of any size give the same lines; what has no end is never a line."""
    pipes = Pipes()
    places = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    lines = []
    for begin, end in pairwise(places):
        os.write(pipes.write_fd, text[begin:end])
        while pipes.channel.wait(0):
            lines.append(pipes.channel.read_line())
    os.close(pipes.write_fd)
    assert lines == text.split(b"\n")[:-1]
    with pytest.raises(DaemonGoneError):
        pipes.channel.read_line()
    pipes.close()


def test_waiting_ends_in_time(pipes: Pipes) -> None:
    """With half a line there, there is still no line."""
    assert not pipes.channel.wait(0)
    os.write(pipes.write_fd, b"half")
    start = monotonic()
    assert not pipes.channel.wait(0.05)
    assert 0.04 < monotonic() - start < 10


def test_the_end_can_be_waited_for(pipes: Pipes) -> None:
    """A closed pipe wakes the one who waits, and every later read says the same."""
    os.close(pipes.write_fd)
    assert pipes.channel.wait(None)
    for _ in range(2):
        with pytest.raises(DaemonGoneError):
            pipes.channel.read_line()


def test_a_hundred_megabytes(pipes: Pipes) -> None:
    """A batch of large items is one line: it takes time in proportion, not squared."""
    size = 100_000_000

    def write() -> None:
        piece = b"x" * 1_000_000
        for _ in range(size // len(piece)):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(pipes.write_fd, rest) :]
        os.write(pipes.write_fd, b"\n")

    writer = threading.Thread(target=write)
    writer.start()
    assert len(pipes.channel.read_line()) == size
    writer.join()


def test_long_lines_are_written_whole(pipes: Pipes) -> None:
    """A line longer than the pipe takes several writes."""
    read = bytearray()

    def read_all() -> None:
        while not read.endswith(b"\n"):
            read.extend(os.read(pipes.read_fd, 65_536))

    reader = threading.Thread(target=read_all)
    reader.start()
    pipes.channel.write_line(b"x" * 1_000_000)
    reader.join()
    assert len(read) == 1_000_001


def test_nobody_reads(pipes: Pipes) -> None:
    """Writing to a daemon that died says so."""
    os.close(pipes.read_fd)
    with pytest.raises(DaemonGoneError):
        pipes.channel.write_line(b"x")
