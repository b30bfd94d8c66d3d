"""Everything that a worker prints or logs. Called by the worker's main before the user's code is imported.

Standard input and output are the protocol's, and move to descriptors that nobody else knows and that `exec`
closes. What is left in their place is harmless: descriptor 0 is empty, descriptor 1 is standard error. So
`print`, C code, threads and subprocesses write to standard error, which the daemon logs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import sys
import threading
from types import TracebackType
from typing import Final

from record_processor.worker.tracebacks import user_traceback

LOG_MARK: Final = "\x1e"
"""Begins a line on standard error that is a log record: JSON with level, logger, message, maybe exception."""

FIRST_PRIVATE_FD: Final = 10
"""Where the protocol is read from; where it is written to is the next one that was free."""

_LONGEST_TEXT: Final = 16_384
_EXIT_SECONDS: Final = 2.0
_log = logging.getLogger("record_processor")


def take_over_streams() -> tuple[int, int]:
    """Move the protocol away from descriptors 0 and 1; return where it is read from, and where written to."""
    protocol = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_PRIVATE_FD) for fd in (0, 1)]
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    print_line_by_line()
    return protocol[0], protocol[1]


def print_line_by_line() -> None:
    """Let what is printed be in the log with the end of its line, whatever characters it holds."""
    sys.stdout = open(  # noqa: SIM115  # stays open as long as the process
        1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def log_to_daemon(level: str) -> None:
    """Send log records, Python's warnings and uncaught exceptions to the daemon."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.addHandler(_DaemonHandler())
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def finish(status: int) -> None:
    """End the process by the usual way, atexit functions and all; but not for ever, if a thread runs on."""
    last_resort = threading.Timer(_EXIT_SECONDS, _abandon_threads, [status])
    last_resort.daemon = True
    last_resort.start()
    sys.exit(status)


def end_at_once(status: int) -> None:
    """End the process without a look at what else it runs; what was printed is not lost."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the user's code may have closed or replaced it
            stream.flush()
    os._exit(status)


def _abandon_threads(status: int) -> None:
    threads = [thread.name for thread in threading.enumerate() if not thread.daemon]
    _log.warning("these threads did not end with the worker, and are abandoned: %s", ", ".join(threads))
    end_at_once(status)


class _DaemonHandler(logging.Handler):
    """Writes a log record as one line, whatever control characters it holds, with one system call."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _write_to_stderr(_line(record))
        except Exception:  # noqa: BLE001  # as every handler does: it must not fail the one who logs
            self.handleError(record)


def _line(record: logging.LogRecord) -> bytes:
    fields = {
        "level": _level(record.levelno),
        "logger": record.name,
        "message": _bounded(record.getMessage()),
    }
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = _bounded(user_traceback(record.exc_info[1]).rstrip("\n"))
    return f"{LOG_MARK}{json.dumps(fields)}\n".encode()


def _level(number: int) -> str:
    return next(
        (
            logging.getLevelName(known)
            for known in (logging.ERROR, logging.WARNING, logging.INFO)
            if number >= known
        ),
        "DEBUG",
    )


def _bounded(text: str) -> str:
    """Keep both ends of a text that is too long: an exception's last lines say the most."""
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return f"{text[:half]}… ({len(text) - 2 * half} characters left out) …{text[-half:]}"


def _write_to_stderr(line: bytes) -> None:
    while line:
        line = line[os.write(2, line) :]


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    _log.error("uncaught %s: the worker ends", kind.__name__, exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(thrown: threading.ExceptHookArgs) -> None:
    name = thrown.thread.name if thrown.thread else "?"
    error = thrown.exc_value
    if error is not None:
        _log.error("uncaught %s in thread %s", thrown.exc_type.__name__, name, exc_info=error)
