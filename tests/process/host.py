"""The launcher's part that starts workers, in this process, with real workers; the test plays the daemon."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from record_processor.launcher.commands import daemon_environment, nursery_command
from record_processor.launcher.log_lines import LogLine
from record_processor.launcher.nursery import Forker, NurseryProcess
from record_processor.launcher.signals import Signals
from record_processor.launcher.socket_folder import socket_folder
from record_processor.launcher.spawner import Spawner
from record_processor.launcher.worker_logs import WorkerLogs
from record_processor.launcher.workers import Starter, Workers, become_subreaper
from tests.protocol.scripted_daemon import IMPORTS, LONG_SECONDS, ROOT

TOKEN = "a secret"
_PR_SET_CHILD_SUBREAPER = 36


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.warnings: list[str] = []

    def write(self, line: LogLine) -> None:
        """Keep a line of a worker."""
        self.lines.append(line)

    def warning(self, message: str) -> None:
        """Keep a line of the launcher."""
        self.warnings.append(message)

    def printed(self, shard: str) -> list[str]:
        """Return what a shard's process printed."""
        return [line.message for line in self.lines if line.shard == shard and line.logger == "output"]


class Connection:
    """A worker's connection, from the daemon's side."""

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        self._socket.settimeout(LONG_SECONDS)
        self.hello = self.receive()

    @property
    def pid(self) -> int:
        """The worker's process id, as it says."""
        return int(self.hello["pid"])

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        size = int.from_bytes(self._read(4), "big")
        message = msgspec.msgpack.decode(self._read(size))
        assert isinstance(message, dict)
        return message

    def send(self, **message: object) -> None:
        """Send a message."""
        payload = msgspec.msgpack.encode(message)
        self._socket.sendall(len(payload).to_bytes(4, "big") + payload)

    def initialize(self) -> None:
        """Begin the shard, and wait until the worker is set up."""
        self.send(action="initialize", shardId="shardId-1", sequenceNumber="TRIM_HORIZON", streamArn="arn")
        assert self.receive() == {"action": "status", "responseFor": "initialize"}

    def end(self) -> None:
        """End the shard, and wait until the worker has answered."""
        self.send(action="leaseLost")
        assert self.receive() == {"action": "status", "responseFor": "leaseLost"}

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _read(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            piece = self._socket.recv(size - len(received))
            assert piece, "the worker closed its connection"
            received += piece
        return received


class Host:
    """Starts workers as `record-processor run` does; use `with`."""

    def __init__(self, folder: Path, source: str, *, spawn: bool = False) -> None:
        (folder / "app.py").write_text(IMPORTS + source, encoding="utf-8")
        self._options = ["--processor", "app:Processor", "--path", str(folder)]
        self._is_spawning = spawn
        self.log = Lines()
        self.ended: dict[int, str] = {}
        self.why_not_fork: str | None = None

    def __enter__(self) -> Host:
        with ExitStack() as stack:
            self.signals = stack.enter_context(Signals())
            self.path = socket_folder(stack)
            self._listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._listener.bind(self.path)
            self._listener.listen()
            self._listener.settimeout(0.05)
            logs = WorkerLogs(self.log)  # type: ignore[arg-type]
            stack.callback(logs.close, 1.0)
            self.starter = self._starter(logs, stack)
            self.workers = Workers(self.starter, self.path, self.signals)
            stack.callback(self._end_workers)
            self.workers.serve(TOKEN, self.ended.__setitem__)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, worker: int = 1, shard: str = "shardId-1") -> Connection:
        """Ask for a worker and wait for its hello."""
        self.workers.ask(TOKEN, worker, shard)
        return self.connection()

    def connection(self) -> Connection:
        """Wait for a worker's connection."""
        found: list[socket.socket] = []

        def accepted() -> bool:
            with suppress(TimeoutError):
                found.append(self._listener.accept()[0])
            return bool(found)

        self.until(accepted)
        return self._stack.enter_context(_closing(Connection(found[0])))

    def until(self, condition: Callable[[], object]) -> None:
        """Do what the launcher does, until something holds."""
        deadline = monotonic() + LONG_SECONDS
        while not condition():
            assert monotonic() < deadline, (
                f"it did not come true in time; {self.log.lines} {self.log.warnings}"
            )
            self.workers.tend()
            self.signals.wait(0.01)

    @property
    def nursery_pid(self) -> int:
        """The process id of the nursery that runs now."""
        assert isinstance(self.starter, Forker)
        assert self.starter.nursery
        return self.starter.nursery.pid

    def _end_workers(self) -> None:
        self.workers.end_all()
        self.until(lambda: not self.workers.pids())

    def _starter(self, logs: WorkerLogs, stack: ExitStack) -> Starter:
        command = [sys.executable, "-m", "record_processor.worker", *self._options]
        environment = {**daemon_environment(), "PYTHONPATH": str(ROOT)}
        if self._is_spawning:
            return Spawner(command, environment, logs)
        assert become_subreaper()
        stack.callback(_be_no_subreaper)  # the orphans of other tests are not this process's
        start = partial(NurseryProcess, nursery_command(command), environment, logs, self.signals.wake)
        forker = Forker(start, logs, self.log)  # type: ignore[arg-type]
        stack.callback(forker.close)
        self.why_not_fork = forker.await_ready(Path("x.properties"), self.signals)
        return forker


class _closing:  # noqa: N801  # as contextlib's
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _be_no_subreaper() -> None:
    """Undo `become_subreaper`."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal."""
    os.kill(pid, number)
