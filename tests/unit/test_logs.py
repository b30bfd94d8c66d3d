"""The launcher's log: reading the daemon's lines, formats for people and machines, readers that stop."""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.launcher.log_lines import Level, LogLine, as_json, as_text, escape, parse, plain
from record_processor.launcher.logs import LineWriter, open_log

_DEADLINE_SECONDS = 10.0
_LINE = LogLine(Level.INFO, "recordprocessor.Daemon", "hello", 1764000000123)
_FILLER = b"."
_TEXTS = st.text(st.characters(exclude_categories=[]))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is closed afterwards."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def raw(**fields: object) -> bytes:
    """Make a line as the daemon writes it."""
    return json.dumps(
        {"ts": 1764000000123, "level": "INFO", "logger": "x", "message": "hello", **fields}
    ).encode()


def fill(writer: int) -> None:
    """Fill a pipe to the brim."""
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, _FILLER * 4096)
    os.set_blocking(writer, True)


def read_until(reader: int, what: bytes) -> bytes:
    """Read from a pipe until something has come."""
    seen = b""
    while what not in seen:
        assert select.select([reader], [], [], _DEADLINE_SECONDS)[0], f"{what!r} did not come"
        seen += os.read(reader, 1 << 16)
    return seen


def test_a_line_of_the_daemon_is_read() -> None:
    """Every field of the contract arrives."""
    line = parse(raw(level="WARNING", shard="shardId-1", exception="Oops", event="started") + b"\n")
    assert line == LogLine(Level.WARNING, "x", "hello", 1764000000123, "shardId-1", "Oops", "started")


@pytest.mark.parametrize(
    "text",
    [
        b"null\n",
        b"[]",
        b'"text"',
        b"OpenJDK 64-Bit Server VM warning: \xff",
        raw(level="LOUD"),
        raw(ts="yesterday"),
        raw(ts=10**20),
        b"[" * 100_000,
    ],
)
def test_what_is_no_line_is_a_warning(text: bytes) -> None:
    """Whatever Java prints is shown, and never stops the reading."""
    line = parse(text)
    assert (line.level, line.logger) == (Level.WARNING, "java")
    assert line.message == text.decode("utf-8", "replace").rstrip("\n")


@given(st.binary())
def test_every_sequence_of_bytes_can_be_read_and_formatted(data: bytes) -> None:
    """No output of a daemon raises here."""
    for line in (parse(data), plain(data)):
        assert as_text(line).endswith(b"\n")
        assert as_json(line).endswith(b"\n")


def test_text_is_short_and_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local time with milliseconds, the level, the end of the shard's id, the message."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    line = LogLine(Level.INFO, "x", "hello", 1764000000123, shard="shardId-00000001700000000000-a1b2c3d4")
    try:
        assert as_text(line).decode() == "2025-11-24 17:00:00.123 INFO    shardId-…a1b2c3d4  hello\n"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_short_shard_id_is_shown_whole() -> None:
    """Only what is long is shortened."""
    assert b"INFO    shardId-7  hello\n" in as_text(LogLine(Level.INFO, "x", "hello", 0, shard="shardId-7"))


@given(_TEXTS)
def test_a_message_stays_on_its_line(message: str) -> None:
    """Whatever a handler logs, one message is one line without control characters, in both formats."""
    line = LogLine(Level.ERROR, "x", message, 0)
    text = as_text(line).decode()
    assert len(text.splitlines()) == 1
    assert all(character == "\t" or ord(character) >= 32 for character in text[:-1])
    assert json.loads(as_json(line)).get("message", "") == message


@given(_TEXTS)
def test_an_exception_is_indented_and_cannot_forge_a_line(exception: str) -> None:
    """Every line of an exception begins with the indentation."""
    _, *more = as_text(LogLine(Level.ERROR, "x", "m", 0, exception=exception)).decode().splitlines()
    assert all(line.startswith("    ") for line in more)


def test_escaping_leaves_text_of_every_language() -> None:
    """Letters, signs and tabs stay; controls, line ends and overrides of the direction are shown."""
    assert escape("é 漢字 🙂\t~") == "é 漢字 🙂\t~"
    assert escape("a\nb\x1b[31m\x00\u2028\u202e\x9b") == r"a\nb\x1b[31m\x00\u2028\u202e\x9b"


def test_json_says_only_what_there_is() -> None:
    """Empty fields are left out; the time is UTC."""
    assert json.loads(as_json(_LINE)) == {
        "time": "2025-11-24T16:00:00.123Z",
        "level": "INFO",
        "logger": "recordprocessor.Daemon",
        "message": "hello",
    }


def test_lines_below_the_level_are_not_written(pipe: tuple[int, int]) -> None:
    """A log at WARNING shows warnings and what ends the command."""
    reader, writer = pipe
    with open_log(Level.WARNING, "text", writer) as log:
        log.debug("one")
        log.info("two")
        log.warning("three")
        log.fail("four", "Traceback\n  five\n")
    seen = read_until(reader, b"four\n").decode()
    assert "one" not in seen
    assert "two" not in seen
    assert seen.endswith("WARNING three\nTraceback\n  five\nrecord-processor: error: four\n")


def test_a_writer_without_a_reader_never_blocks_and_counts_what_it_dropped(pipe: tuple[int, int]) -> None:
    """Every line is either read or counted, in its order, once the reader is back."""
    reader, writer = pipe
    fill(writer)
    lines = LineWriter(writer, lambda count: b"dropped %d\n" % count, capacity_bytes=10_000)
    for number in range(20_000):
        lines.put(b"line %d\n" % number)
    seen = read_until(reader, b"dropped")
    seen += b"" if seen.endswith(b"\n") else read_until(reader, b"\n")
    lines.put(b"again\n")
    seen += read_until(reader, b"again\n")
    lines.close(1)
    *read, notice, last = seen.lstrip(_FILLER).splitlines()
    assert read == [b"line %d" % number for number in range(len(read))]
    assert notice == b"dropped %d" % (20_000 - len(read))
    assert last == b"again"


def test_a_line_longer_than_the_pipe_arrives_whole(pipe: tuple[int, int]) -> None:
    """A long line is written in pieces as its reader takes them."""
    reader, writer = pipe
    lines = LineWriter(writer, lambda _: b"")
    lines.put(b"x" * 1_000_000 + b"\n")
    assert len(read_until(reader, b"\n")) == 1_000_001
    lines.close(1)


def test_a_stuck_reader_delays_the_end_by_no_more_than_the_limit(pipe: tuple[int, int]) -> None:
    """Closing gives up on what nobody takes."""
    lines = LineWriter(pipe[1], lambda _: b"")
    lines.put(b"x" * 1_000_000)
    began = time.monotonic()
    lines.close(0.2)
    assert time.monotonic() - began < 2


def test_a_log_whose_reader_is_gone_goes_on() -> None:
    """Writing to a broken pipe raises nowhere; a line can still be put and the log closed."""
    reader, writer = os.pipe()
    os.close(reader)
    with open_log(Level.INFO, "text", writer) as log:
        for _ in range(100):
            log.info("into the void")
    os.close(writer)
