"""What the shards' processes print and log, line by line, with the shard's id; one thread reads it all."""

from __future__ import annotations

import json
import os
import selectors
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from record_processor.launcher.log_lines import Level, LogLine, now_millis
from record_processor.launcher.logs import Log

_LOG_MARK: Final = b"\x1e"
"""Begins a line that is a log record in JSON; `record_processor.worker.output` writes it."""

_READ_BYTES: Final = 65_536
_LONGEST_LINE_BYTES: Final = 256 * 1024


@dataclass(slots=True)
class _Source:
    shard: str
    begun: bytes = b""


class WorkerLogs:
    """Gives each process a pipe to print to, and writes what comes out of it to the log."""

    def __init__(self, log: Log) -> None:
        """Start the thread that reads; it ends with this process."""
        self._log = log
        self._new: deque[tuple[int, str]] = deque()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="worker-logs", daemon=True)
        self._thread.start()

    def open(self, shard: str = "") -> int:
        """Return the descriptor to print to, for the caller to hand on and close."""
        reader, writer = os.pipe()
        self._new.append((reader, shard))
        os.write(self._wake, b"\0")
        return writer

    def close(self, timeout_seconds: float) -> None:
        """Wait until all that was printed is in the log, while anybody may still print."""
        self._closing = True
        os.write(self._wake, b"\0")
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not (self._closing and len(self._selector.get_map()) == 1):
            for key, _ in self._selector.select():
                if key.fd == self._woken:
                    self._take_new()
                else:
                    self._read(key.fd, key.data)

    def _take_new(self) -> None:
        os.read(self._woken, _READ_BYTES)
        while self._new:
            reader, shard = self._new.popleft()
            self._selector.register(reader, selectors.EVENT_READ, _Source(shard))

    def _read(self, reader: int, source: _Source) -> None:
        piece = os.read(reader, _READ_BYTES)
        *lines, source.begun = (source.begun + piece).split(b"\n")
        if len(source.begun) > _LONGEST_LINE_BYTES or not piece:
            lines.append(source.begun)
            source.begun = b""
        for line in lines:
            self._write(line, source.shard)
        if not piece:
            self._selector.unregister(reader)
            os.close(reader)

    def _write(self, line: bytes, shard: str) -> None:
        # Half a line may have been printed before a log record.
        printed, mark, logged = line.partition(_LOG_MARK)
        if printed.strip():
            self._log.write(_printed(printed, shard))
        if mark:
            self._log.write(_logged(logged, shard))


def _printed(text: bytes, shard: str) -> LogLine:
    return LogLine(Level.INFO, "output", text.decode("utf-8", "replace"), now_millis(), shard)


def _logged(text: bytes, shard: str) -> LogLine:
    try:
        fields = json.loads(text)
        return LogLine(
            level=Level[fields["level"]],
            logger=str(fields["logger"]),
            message=str(fields["message"]),
            time_millis=now_millis(),
            shard=shard,
            exception=str(fields.get("exception") or ""),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return _printed(text, shard)
