"""The daemon's side of the wire, by script: starts a real worker and speaks to it, over a socket or pipes."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import IO, Any, Final, Literal, TypeAlias

import msgspec

from tests.packing import frame, json_message, packed_message

ROOT = Path(__file__).parents[2]
LONG_SECONDS = 30.0
"""No test waits so long, unless something is broken."""

IMPORTS = """
import ctypes, logging, multiprocessing, os, signal, subprocess, sys, threading, time, warnings
from record_processor import *
"""

WireName: TypeAlias = Literal["socket", "stdio"]
WIRES: Final[tuple[WireName, ...]] = ("socket", "stdio")
TOKEN: Final = "0123456789abcdef"
WORKER: Final = 3


def record(number: int, name: str = "INSERT", **change: Any) -> dict[str, Any]:
    """Make a record's event, as docs/protocol.md shows it in JSON."""
    return {
        "eventID": f"event-{number}",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1764000000000,
            "Keys": {"pk": {"S": f"item-{number}"}},
            "SequenceNumber": str(number),
            "SizeBytes": 12,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **change,
        },
    }


class ScriptedDaemon:
    """A context manager around one worker. `transcript` holds every message, in their order.

    What is said in it is the same on both wires: a record is its event.
    """

    def __init__(
        self,
        folder: Path,
        source: str,
        *options: str,
        wire: WireName = "socket",
        command: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Write the user's module and start the worker for its class `Processor`."""
        (folder / "app.py").write_text(IMPORTS + source, encoding="utf-8")
        self._stderr_path = folder / "stderr"
        own = [sys.executable, "-m", "record_processor.worker"]
        flags = ["--socket"] if wire == "socket" else []
        with self._stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*(command or own), "--processor", "app:Processor", "--path", str(folder), *flags, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            )
        self.transcript: list[dict[str, Any]] = []
        self._wire: _Wire = _Socket(self.process) if wire == "socket" else _Stdio(self.process)

    def __enter__(self) -> ScriptedDaemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._wire.close()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        if error is not None:
            sys.stderr.write(self.stderr())

    # What the daemon says

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; its records are events."""
        self.transcript.append({"daemon": dict(message)})
        self._wire.send(self._wire.written(message))

    def send_payload(self, payload: bytes) -> None:
        """Send a line or a frame with these bytes in it."""
        self._wire.send(payload)

    def send_bytes(self, raw: bytes) -> None:
        """Send bytes as they are, neither a line nor a frame."""
        self._wire.send_bytes(raw)

    def hang_up(self) -> None:
        """Say nothing more, as a daemon that died."""
        self._wire.hang_up()

    def stop_reading(self) -> None:
        """Let every word of the worker fail."""
        self._wire.stop_reading()

    def initialize(self, **more: int | str | None) -> None:
        """Begin a shard, and wait until the worker is set up."""
        self.send(
            {
                "action": "initialize",
                "shardId": "shardId-1",
                "sequenceNumber": "TRIM_HORIZON",
                "streamArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2024",
                "tableName": "orders",
                "workerId": "host-1",
                **more,
            }
        )
        self.expect_status("initialize")

    def send_batch(self, *records: Mapping[str, Any] | int, **lease: int) -> None:
        """Send a batch of records, given as events or by their numbers."""
        events = [record(given) if isinstance(given, int) else given for given in records]
        self.send({"action": "processRecords", "millisBehindLatest": 0, **lease, "records": events})

    def answer(self, sequence_number: str | None, error: str | None = None) -> None:
        """Answer a request for a checkpoint."""
        self.send({"action": "checkpoint", "sequenceNumber": sequence_number, "error": error})

    # What the worker says

    def receive(self, timeout_seconds: float = LONG_SECONDS) -> dict[str, Any]:
        """Return the worker's next message; fail if there is none within the time."""
        payload = self._wire.receive(timeout_seconds)
        assert payload is not None, f"the worker said nothing; its stderr is:\n{self.stderr()}"
        message = self._wire.read(payload)
        assert isinstance(message, dict)
        self.transcript.append({"worker": message})
        return message

    def expect_status(self, action: str) -> None:
        """Expect that the worker says that an action is done."""
        assert self.receive() == {"action": "status", "responseFor": action}

    def expect_acknowledge(self, number: int) -> None:
        """Expect the acknowledgement of everything up to a record.

        How many acknowledgements lead there depends on how fast this host is: the transcript has the last.
        """
        before = len(self.transcript)
        acknowledged = 0
        while acknowledged < number:
            message = self.receive()
            assert message == {"action": "acknowledge", "sequenceNumber": message.get("sequenceNumber")}
            assert int(message["sequenceNumber"]) > acknowledged
            acknowledged = int(message["sequenceNumber"])
        assert acknowledged == number
        del self.transcript[before:-1]

    def expect_checkpoint(self, number: int, error: str | None = None) -> None:
        """Expect the request for a checkpoint, and answer it."""
        assert self.receive() == {"action": "checkpoint", "sequenceNumber": str(number)}
        self.answer(str(number), error)

    def expect_silence(self) -> None:
        """Expect that the worker has said nothing more, by something that it must answer next."""
        assert self._wire.receive(0) is None

    def expect_exit(self, status: int, timeout_seconds: float = LONG_SECONDS) -> None:
        """Expect that the worker ends, without another word."""
        assert self.process.wait(timeout_seconds) == status
        assert self._wire.receive(LONG_SECONDS) is None

    # What else the worker shows

    def stderr(self) -> str:
        """Return everything on standard error so far."""
        return self._stderr_path.read_text(encoding="utf-8", errors="replace")

    def logs(self, level: str = "") -> list[dict[str, str]]:
        """Return the log records so far, of one level or of all."""
        lines = [line[1:] for line in self.stderr().split("\n") if line.startswith("\x1e")]
        return [log for log in map(json.loads, lines) if level in ("", log["level"])]

    def printed(self) -> list[str]:
        """Return the lines so far that are no log records."""
        return [line for line in self.stderr().split("\n") if line and not line.startswith("\x1e")]


class _Wire(ABC):
    """One of the two ways that messages travel."""

    def __init__(self) -> None:
        self._received = b""

    @abstractmethod
    def written(self, message: Mapping[str, Any]) -> bytes: ...

    @abstractmethod
    def read(self, payload: bytes) -> Any: ...

    @abstractmethod
    def send(self, payload: bytes) -> None: ...

    @abstractmethod
    def send_bytes(self, raw: bytes) -> None: ...

    @abstractmethod
    def hang_up(self) -> None: ...

    @abstractmethod
    def stop_reading(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _read_fd(self) -> int | None:
        """Return what to read from; None if the worker never connects."""

    @abstractmethod
    def _split(self) -> bytes | None:
        """Return the next payload of what was received."""

    def receive(self, timeout_seconds: float) -> bytes | None:
        """Return a payload; None if there is none within the time, or the worker closed its end."""
        fd = self._read_fd()
        deadline = monotonic() + timeout_seconds
        while (payload := self._split()) is None:
            if fd is None:
                return None
            ready, _, _ = select.select([fd], [], [], max(0.0, deadline - monotonic()))
            try:
                piece = os.read(fd, 65_536) if ready else b""
            except ConnectionResetError:  # it left without reading all that was said to it
                piece = b""
            if not piece:
                assert not self._received, f"an unfinished message: {self._received[:200]!r}"
                return None
            self._received += piece
        return payload


class _Stdio(_Wire):
    """Lines of JSON over standard input and output."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self._stdin, self._stdout = _pipes(process)

    def written(self, message: Mapping[str, Any]) -> bytes:
        return json_message(message)

    def read(self, payload: bytes) -> Any:
        return json.loads(payload)

    def send(self, payload: bytes) -> None:
        self.send_bytes(payload + b"\n")

    def send_bytes(self, raw: bytes) -> None:
        self._stdin.write(raw)
        self._stdin.flush()

    def hang_up(self) -> None:
        self._stdin.close()

    def stop_reading(self) -> None:
        self._stdout.close()

    def close(self) -> None:
        pass  # the process's pipes are closed with it

    def _read_fd(self) -> int | None:
        return self._stdout.fileno()

    def _split(self) -> bytes | None:
        if b"\n" not in self._received:
            return None
        line, _, self._received = self._received.partition(b"\n")
        return line


class _Socket(_Wire):
    """Frames of MessagePack over a Unix socket."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self._process = process
        self._folder = tempfile.mkdtemp(prefix="rp-")  # a socket's path must be short
        self._listener = socket.socket(socket.AF_UNIX)
        path = f"{self._folder}/socket"
        self._listener.bind(path)
        self._listener.listen()
        self._connection: socket.socket | None = None
        stdin, _ = _pipes(process)
        assignment = {"socket": path, "token": TOKEN, "worker": WORKER, "shard": "shardId-1"}
        with suppress(BrokenPipeError):  # a worker that only checks, or finds a mistake, does not listen
            stdin.write(json.dumps(assignment).encode() + b"\n")
            stdin.flush()

    def written(self, message: Mapping[str, Any]) -> bytes:
        return packed_message(message)

    def read(self, payload: bytes) -> Any:
        return msgspec.msgpack.decode(payload)

    def send(self, payload: bytes) -> None:
        self.send_bytes(frame(payload))

    def send_bytes(self, raw: bytes) -> None:
        self._connected().sendall(raw)

    def hang_up(self) -> None:
        self._connected().shutdown(socket.SHUT_WR)

    def stop_reading(self) -> None:
        self._connected().shutdown(socket.SHUT_RD)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._listener.close()
        shutil.rmtree(self._folder)

    def _connected(self) -> socket.socket:
        assert self._accepted(), "the worker did not connect"
        assert self._connection
        return self._connection

    def _accepted(self) -> bool:
        """Wait for the worker's connection and its hello; return whether it came before the worker's end."""
        while self._connection is None:
            has_ended = self._process.poll() is not None
            if select.select([self._listener], [], [], 0 if has_ended else 0.05)[0]:
                self._connection, _ = self._listener.accept()
                self._expect_hello()
            elif has_ended:
                return False
        return True

    def _expect_hello(self) -> None:
        payload = self.receive(LONG_SECONDS)
        assert payload is not None
        hello = {"action": "hello", "token": TOKEN, "worker": WORKER, "pid": self._process.pid}
        assert self.read(payload) == hello

    def _read_fd(self) -> int | None:
        return self._connection.fileno() if self._accepted() and self._connection else None

    def _split(self) -> bytes | None:
        length = int.from_bytes(self._received[:4], "big")
        if len(self._received) < 4 or len(self._received) < 4 + length:
            return None
        payload, self._received = self._received[4 : 4 + length], self._received[4 + length :]
        return payload


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def wait_until(condition: Callable[[], object], timeout_seconds: float = LONG_SECONDS) -> None:
    """Wait until something holds; fail if it does not within the time."""
    deadline = monotonic() + timeout_seconds
    while not condition():
        assert monotonic() < deadline, "it did not come true in time"
        sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs: it is there, and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
