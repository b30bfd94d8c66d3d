"""The shards' processes: started when the daemon asks, watched, and ended with it.

They are all children of this process. Forked ones become so because it is the subreaper of what it starts
(`prctl(2)`, PR_SET_CHILD_SUBREAPER): a worker's end is seen here, whatever becomes of its nursery.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from record_processor.launcher.signals import Signals

_PR_SET_CHILD_SUBREAPER: Final = 36
_STRANGER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a new worker is told: where the daemon listens, and which shard it is for."""

    socket: str
    token: str
    worker: int
    """The number by which the daemon knows it."""
    shard: str


@dataclass(frozen=True, slots=True)
class Started:
    """A worker runs."""

    assignment: Assignment
    pid: int


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A worker could not be started."""

    assignment: Assignment
    reason: str


class Starter(Protocol):
    """A way to start workers. Main thread only, as all of them end with the thread that started them."""

    def start(self, assignment: Assignment) -> None:
        """Begin to start a worker; `outcomes` says what came of it."""

    def outcomes(self) -> Iterator[Started | NotStarted]:
        """Yield what came of it since the last call."""

    def seconds_until_due(self) -> float | None:
        """Return when `outcomes` is to be called without having been woken; None: not at all."""

    def close(self) -> None:
        """Start nothing more."""


def become_subreaper() -> bool:
    """Inherit the orphans among all that this process starts; return whether that is possible. Linux only."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


class Workers:
    """Every shard's process of this host. Main thread, but for `ask`."""

    def __init__(self, starter: Starter, socket: str, signals: Signals) -> None:
        """Take what starts a worker, and the path at which each daemon listens."""
        self.socket = socket
        self._starter = starter
        self._signals = signals
        self._tell_ended: Callable[[int, str], None] | None = None
        self._token = ""
        self._requests: deque[Assignment] = deque()
        self._running: dict[int, Assignment] = {}
        self._strangers: dict[int, float] = {}

    def serve(self, token: str, tell_ended: Callable[[int, str], None]) -> None:
        """Serve the daemon whose secret is `token`; it hears of each worker's number and how it ended."""
        self._token = token
        self._tell_ended = tell_ended

    def ask(self, token: str, worker: int, shard: str) -> None:
        """Start a worker for the daemon, soon. Any thread."""
        self._requests.append(Assignment(self.socket, token, worker, shard))
        self._signals.wake()

    def tend(self) -> float | None:
        """Do what is due; return in how many seconds something will be, None if nothing will."""
        while self._requests:
            assignment = self._requests.popleft()
            if assignment.token == self._token:
                self._starter.start(assignment)
        for outcome in self._starter.outcomes():
            self._settle(outcome)
        for pid in list(self._running):
            self._reap(pid)
        self._reap_strangers()
        return self._starter.seconds_until_due()

    def end_all(self) -> None:
        """The daemon has ended: so do its workers, and all that they have started."""
        self._tell_ended = None
        self._token = ""
        for pid in self._running:
            _kill(pid)
        self.tend()

    def pids(self) -> list[int]:
        """Return the process ids of those that run."""
        return list(self._running)

    def _settle(self, outcome: Started | NotStarted) -> None:
        if isinstance(outcome, NotStarted):
            self._tell(outcome.assignment, outcome.reason)
            return
        self._running[outcome.pid] = outcome.assignment
        if outcome.assignment.token != self._token:
            _kill(outcome.pid)  # its daemon has ended meanwhile

    def _reap(self, pid: int) -> None:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return  # the process between it and the nursery has not ended yet, so it is not our child yet
        if ended:
            self._tell(self._running.pop(pid), f"it ended {_in_words(os.waitstatus_to_exitcode(status))}")

    def _tell(self, assignment: Assignment, reason: str) -> None:
        if self._tell_ended and assignment.token == self._token:
            self._tell_ended(assignment.worker, reason)

    def _reap_strangers(self) -> None:
        """Take from the process table what the users' own processes left behind: a subreaper inherits it.

        Not at once: it may be a worker of which the nursery has not told us yet.
        """
        with suppress(ChildProcessError):
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                self._strangers.clear()
                return
            first_seen = self._strangers.setdefault(found.si_pid, time.monotonic())
            if time.monotonic() - first_seen > _STRANGER_SECONDS:
                del self._strangers[found.si_pid]
                os.waitpid(found.si_pid, os.WNOHANG)


def _kill(pid: int) -> None:
    """Kill a worker and what it started; it is not reaped yet, so the number is no other's."""
    for kill in (os.killpg, os.kill):  # it may not have come as far as to have a group
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _in_words(code: int) -> str:
    """Say an exit code as the daemon does of the processes that it starts itself."""
    return f"with signal {-code}" if code < 0 else f"with exit code {code}"
