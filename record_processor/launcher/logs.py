"""The log on standard error. A reader that is slow, stuck or gone costs lines, never a record.

Any thread may write a line; one thread of ours brings them to the descriptor.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from record_processor.launcher.log_lines import (
    Level,
    LogLine,
    as_json,
    as_text,
    escape,
    escape_lines,
    now_millis,
)

LogFormat = Literal["text", "json"]

_LOGGER: Final = "record_processor"
_CAPACITY_BYTES: Final = 4 * 1024 * 1024
_LAST_LINES_SECONDS: Final = 1.0
_LOOK_AROUND_SECONDS: Final = 0.1
_FORMATS: Final[dict[LogFormat, Callable[[LogLine], bytes]]] = {"text": as_text, "json": as_json}


class LineWriter:
    """Writes whole lines to a descriptor, from its own thread; drops and counts what it cannot hold."""

    def __init__(
        self, descriptor: int, tell_dropped: Callable[[int], bytes], capacity_bytes: int = _CAPACITY_BYTES
    ) -> None:
        """Start. `tell_dropped` makes the line that is written once lines flow again after some were lost."""
        self._descriptor = descriptor
        self._tell_dropped = tell_dropped
        self._capacity_bytes = capacity_bytes
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._full = False
        self._dropped = 0
        self._flowing = True
        self._closing = False
        self._deadline: float | None = None
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Hand over a line; returns at once. After an overflow nothing is taken until the queue is empty."""
        with self._change:
            if self._full or self._waiting_bytes + len(line) > self._capacity_bytes:
                self._full = True
                self._dropped += 1
                return
            self._lines.append(line)
            self._waiting_bytes += len(line)
            self._change.notify()

    def close(self, timeout_seconds: float) -> None:
        """Write what waits, for `timeout_seconds` at the most, and end."""
        with self._change:
            self._closing = True
            self._deadline = time.monotonic() + timeout_seconds
            self._change.notify()
        self._thread.join(timeout_seconds + 2 * _LOOK_AROUND_SECONDS)

    def _run(self) -> None:
        while (line := self._next()) is not None:
            lost_if_lost, text = line
            self._flowing = self._write(text)
            if not self._flowing:
                with self._change:
                    self._dropped += lost_if_lost

    def _next(self) -> tuple[int, bytes] | None:
        """Wait for the next line, with how many are lost if it cannot be written; None at the end."""
        with self._change:
            while not self._lines:
                self._full = False
                if self._dropped and self._flowing:
                    dropped, self._dropped = self._dropped, 0
                    return dropped, self._tell_dropped(dropped)
                if self._closing:
                    return None
                self._change.wait()
            line = self._lines.popleft()
            self._waiting_bytes -= len(line)
            return 1, line

    def _write(self, line: bytes) -> bool:
        """Write a line unless nobody takes it. A piece of PIPE_BUF bytes cannot block once select says so."""
        rest = memoryview(line)
        try:
            while rest:
                if select.select([], [self._descriptor], [], _LOOK_AROUND_SECONDS)[1]:
                    rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
                elif self._deadline is not None and time.monotonic() > self._deadline:
                    return False
        except OSError:  # its reader is gone, or its disk is full
            return False
        return True


class Log:
    """The log of one `run`: the launcher's own lines and the daemon's, filtered by level, in one format."""

    def __init__(self, writer: LineWriter, level: Level, log_format: LogFormat) -> None:
        """Write the lines of `level` and above."""
        self._writer = writer
        self.level = level
        self._log_format: LogFormat = log_format

    def write(self, line: LogLine) -> None:
        """Write a line, if its level is high enough."""
        if line.level >= self.level:
            self._writer.put(_FORMATS[self._log_format](line))

    def debug(self, message: str, exception: str = "") -> None:
        """Write a line of our own that helps to find a mistake."""
        self.write(_own(Level.DEBUG, message, exception))

    def info(self, message: str) -> None:
        """Write a line of our own that belongs to a normal run."""
        self.write(_own(Level.INFO, message))

    def warning(self, message: str) -> None:
        """Write a line of our own about something that mends itself."""
        self.write(_own(Level.WARNING, message))

    def fail(self, message: str, traceback: str = "") -> None:
        """Say in one line why the command ends; a traceback of the user's own code comes before it."""
        if self._log_format == "json":
            self._writer.put(as_json(_own(Level.ERROR, message, traceback)))
        else:
            self._writer.put(
                (escape_lines(traceback) + f"record-processor: error: {escape(message)}\n").encode()
            )


@contextmanager
def open_log(level: Level, log_format: LogFormat, descriptor: int = 2) -> Iterator[Log]:
    """Log to a descriptor until the block ends; then give its reader a second to take the last lines."""

    def tell_dropped(count: int) -> bytes:
        return _FORMATS[log_format](
            _own(Level.WARNING, f"{count} log lines before this one were dropped: nobody took them")
        )

    writer = LineWriter(descriptor, tell_dropped)
    try:
        yield Log(writer, level, log_format)
    finally:
        writer.close(_LAST_LINES_SECONDS)


def _own(level: Level, message: str, exception: str = "") -> LogLine:
    return LogLine(level, _LOGGER, message, now_millis(), exception=exception)
