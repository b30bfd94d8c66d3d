"""The signals of the launcher. Nothing happens in a handler: a pipe remembers it and wakes the loop."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from time import monotonic
from types import FrameType, TracebackType
from typing import Final

# `timeout` and service managers signal the process and then its group: that is one request, not two.
_ONE_SIGNAL_SECONDS: Final = 0.5
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):  # noqa: N818  # no error: it is what was asked for
    """A signal asked for the end while there was nothing to drain yet."""


class Signals:
    """SIGINT, SIGTERM and SIGHUP are collected while the block runs; the end of a child wakes too.

    Python's own C handler writes each signal's number into the pipe (`signal.set_wakeup_fd`), so that none is
    missed between looking and waiting. Main thread only.
    """

    def __init__(self) -> None:
        """Make it; signals are taken over by `with`."""
        self._latest = -_ONE_SIGNAL_SECONDS
        self.received: list[int] = []
        """The signals that asked for the end, oldest first, as of the last `wait`."""

    def __enter__(self) -> Signals:
        """Take the signals over. A SIGHUP that is ignored, as under nohup, stays so."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        taken = [number for number in _STOPPING if not _is_ignored_hangup(number)]
        self._previous = {number: signal.signal(number, _remembered) for number in (*taken, signal.SIGCHLD)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Wait until a signal arrives or a child ends; 0 only collects what is there."""
        if timeout_seconds is not None:
            timeout_seconds = max(0.0, timeout_seconds)
        if select.select([self._reader], [], [], timeout_seconds)[0]:
            numbers = [number for number in os.read(self._reader, select.PIPE_BUF) if number in _STOPPING]
            if numbers and monotonic() - self._latest >= _ONE_SIGNAL_SECONDS:
                self.received.append(numbers[0])
                self._latest = monotonic()

    def wake(self) -> None:
        """End the wait, of the main thread in `wait`; for other threads, which have something to tell it."""
        with suppress(BlockingIOError):  # it is full: awake it is
            os.write(self._writer, b"\0")

    def raise_if_stopped(self) -> None:
        """Raise Stopped if a signal has asked for the end."""
        self.wait(0)
        if self.received:
            raise Stopped


def _remembered(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the number is in the pipe already."""


def _is_ignored_hangup(number: int) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
