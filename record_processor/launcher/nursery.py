"""The nursery as the launcher sees it: started, told what to fork, started again when it dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Final

from record_processor.launcher.backoff import Backoff
from record_processor.launcher.logs import Log
from record_processor.launcher.preflight import ImportFailedError, ended_by_import
from record_processor.launcher.probe import how_it_ended
from record_processor.launcher.signals import Signals, Stopped
from record_processor.launcher.worker_logs import WorkerLogs
from record_processor.launcher.workers import Assignment, NotStarted, Started

_LONGEST_MESSAGE_BYTES: Final = 1 << 20
_LAST_WORDS_SECONDS: Final = 1.0
_FORK_SECONDS: Final = 10.0
_A_GOOD_RUN_SECONDS: Final = 10.0


class NurseryProcess:
    """One nursery, from its start to its end."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        logs: WorkerLogs,
        wake: Callable[[], None],
    ) -> None:
        """Start it, in the main thread; each of its messages calls `wake`.

        Raises OSError.
        """
        self._wake = wake
        self._messages: deque[dict[str, Any]] = deque()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output = logs.open()
        with theirs, os.fdopen(output):
            self._process = subprocess.Popen(
                [*command, "--control", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.started_at = time.monotonic()
        self._reader = threading.Thread(target=self._read, name="nursery", daemon=True)
        self._reader.start()

    def send(self, message: Mapping[str, object], output: int) -> None:
        """Ask for a worker that prints to `output`."""
        with suppress(OSError):  # it has died, and its end is dealt with as such
            socket.send_fds(self._socket, [json.dumps(message).encode()], [output])

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield what it has said since the last call."""
        while self._messages:
            yield self._messages.popleft()

    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs. When it has ended, all that it said can be had."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(_LAST_WORDS_SECONDS)
        return code

    def end(self) -> None:
        """End it now; the workers that it forked live on."""
        self._process.kill()
        self._process.wait()
        self._reader.join(_LAST_WORDS_SECONDS)
        self._socket.close()

    def _read(self) -> None:
        with suppress(OSError):
            while message := self._socket.recv(_LONGEST_MESSAGE_BYTES):
                self._messages.append(json.loads(message))
                self._wake()


class Forker:
    """A `Starter` by fork; it keeps a nursery running, and what dies with one is asked of the next."""

    def __init__(self, start: Callable[[], NurseryProcess], logs: WorkerLogs, log: Log) -> None:
        """Start the first nursery, by calling `start`, and do not wait for it. Raises OSError."""
        self._start = start
        self._logs = logs
        self._log = log
        self.nursery: NurseryProcess | None = start()
        """The one that runs now."""
        self._is_ready = False
        self._ids = count(1)
        self._asked: dict[int, Assignment] = {}
        self._sent_at: dict[int, float] = {}
        self._next_nursery_at: float | None = None
        self._backoff = Backoff()

    def await_ready(self, file: Path, signals: Signals) -> str | None:
        """Wait until the user's code is imported; return why it cannot be forked, None if it can.

        Raises ImportFailedError, StartError, and Stopped if a signal comes first.
        """
        assert self.nursery
        while True:
            code = self.nursery.exit_code()  # before its messages: then they are all
            for message in self.nursery.messages():
                if "failed" in message:
                    raise ImportFailedError(f"{file}: processor: {message['failed']}", message["traceback"])
                self._is_ready = "ready" in message
                return message.get("cannotFork")
            if code is not None:
                raise ended_by_import(file, code)
            signals.wait()
            if signals.received:
                raise Stopped

    def start(self, assignment: Assignment) -> None:
        """Ask for a worker, now or as soon as there is a nursery."""
        number = next(self._ids)
        self._asked[number] = assignment
        if self.nursery and self._is_ready:
            self._send(number)

    def outcomes(self) -> Iterator[Started | NotStarted]:
        """Yield what came of it since the last call; look after the nursery."""
        self._start_nursery_if_due()
        if self.nursery is None:
            return
        code = self.nursery.exit_code()  # before its messages: then they are all
        for message in self.nursery.messages():
            yield from self._hear(message)
        if code is not None:
            self._log.warning(
                f"the nursery ended {how_it_ended(code)}; it is started again, no worker is disturbed"
            )
            self._plan_next()
        elif self._is_stuck():
            self._log.warning(
                f"the nursery did not fork within {_FORK_SECONDS:g} s: killed, and started again"
            )
            self.nursery.end()
            for message in self.nursery.messages():  # a worker that nobody knew, nobody could end
                yield from self._hear(message)
            self._plan_next()

    def seconds_until_due(self) -> float | None:
        """Return when the nursery is to be looked after."""
        if self._next_nursery_at is not None:
            return max(0.0, self._next_nursery_at - time.monotonic())
        if self._sent_at:
            return max(0.0, min(self._sent_at.values()) + _FORK_SECONDS - time.monotonic())
        return None

    def close(self) -> None:
        """End the nursery."""
        if self.nursery:
            self.nursery.end()
            self.nursery = None
        self._next_nursery_at = None

    def _hear(self, message: Mapping[str, Any]) -> Iterator[Started | NotStarted]:
        if "ready" in message:
            self._is_ready = True
            for number in self._asked:
                self._send(number)
        elif "id" in message:
            number = message["id"]
            self._sent_at.pop(number, None)
            assignment = self._asked.pop(number)
            yield (
                Started(assignment, message["pid"])
                if "pid" in message
                else NotStarted(assignment, message["error"])
            )
        else:
            reason = (
                message.get("failed")
                or f"importing it {message['cannotFork']}: set workerStartMethod = spawn"
            )
            yield from (NotStarted(assignment, reason) for assignment in self._asked.values())
            self._asked.clear()

    def _send(self, number: int) -> None:
        assert self.nursery
        assignment = self._asked[number]
        self._sent_at[number] = time.monotonic()
        output = self._logs.open(assignment.shard)
        try:
            self.nursery.send({"id": number, **asdict(assignment)}, output)
        finally:
            os.close(output)

    def _is_stuck(self) -> bool:
        return bool(self._sent_at) and time.monotonic() > min(self._sent_at.values()) + _FORK_SECONDS

    def _plan_next(self) -> None:
        """A nursery that ran well is replaced at once."""
        assert self.nursery
        now = time.monotonic()
        if now - self.nursery.started_at > _A_GOOD_RUN_SECONDS:
            self._backoff.reset()
            self._next_nursery_at = now
        else:
            self._next_nursery_at = now + self._backoff.next_seconds()
        self.nursery.end()
        self.nursery = None
        self._is_ready = False
        self._sent_at.clear()

    def _start_nursery_if_due(self) -> None:
        if self._next_nursery_at is None or time.monotonic() < self._next_nursery_at:
            return
        self._next_nursery_at = None
        try:
            self.nursery = self._start()
        except OSError as error:  # this host has no process or memory left
            self._log.warning(f"the nursery cannot be started: {error.strerror}; tried again")
            self._next_nursery_at = time.monotonic() + self._backoff.next_seconds()
