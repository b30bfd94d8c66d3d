"""Starts each worker as a Python of its own: where forking is not possible or not wanted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict

from record_processor.launcher.worker_logs import WorkerLogs
from record_processor.launcher.workers import Assignment, NotStarted, Started


class Spawner:
    """A `Starter` by `posix_spawn`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], logs: WorkerLogs) -> None:
        """Take the command of a worker, and what reads its output."""
        self._command = [*command, "--socket"]
        self._environment = environment
        self._logs = logs
        self._outcomes: list[Started | NotStarted] = []

    def start(self, assignment: Assignment) -> None:
        """Start a worker; it reads what it must know from its standard input."""
        try:
            self._outcomes.append(Started(assignment, self._spawn(assignment)))
        except OSError as error:
            self._outcomes.append(NotStarted(assignment, f"it cannot be started: {error.strerror}"))

    def outcomes(self) -> Iterator[Started | NotStarted]:
        """Yield what came of it since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        yield from outcomes

    def seconds_until_due(self) -> float | None:
        """Return None: all is done at once."""
        return None

    def close(self) -> None:
        """There is nothing to end."""

    def _spawn(self, assignment: Assignment) -> int:
        with ExitStack() as stack:
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            with os.fdopen(writer, "wb") as stdin:  # a pipe holds more than these few bytes
                stdin.write(json.dumps(asdict(assignment)).encode() + b"\n")
            output = self._logs.open(assignment.shard)
            stack.callback(os.close, output)
            return os.posix_spawn(
                self._command[0],
                self._command,
                self._environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)]
                + [(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)],
                setsid=True,
            )
