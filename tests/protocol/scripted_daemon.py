"""The daemon's side of the wire, by script: starts a real worker on real pipes and speaks to it."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
LONG_SECONDS = 30.0
"""No test waits so long, unless something is broken."""

IMPORTS = """
import ctypes, logging, multiprocessing, os, signal, subprocess, sys, threading, time, warnings
from record_processor import *
"""


def record(number: int, name: str = "INSERT", **change: Any) -> dict[str, Any]:
    """Make an element of processRecords, as the daemon writes it."""
    event = {
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
    return {
        "action": "record",
        "data": base64.b64encode(json.dumps(event).encode()).decode(),
        "partitionKey": str(number),
        "sequenceNumber": str(number),
        "subSequenceNumber": 0,
        "approximateArrivalTimestamp": 1764000000000,
    }


class ScriptedDaemon:
    """A context manager around one worker. `transcript` holds every message, in their order."""

    def __init__(
        self,
        folder: Path,
        source: str,
        *options: str,
        command: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Write the user's module and start the worker for its class `Processor`."""
        (folder / "app.py").write_text(IMPORTS + source, encoding="utf-8")
        self._stderr_path = folder / "stderr"
        own = [sys.executable, "-m", "record_processor.worker"]
        with self._stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*(command or own), "--processor", "app:Processor", "--path", str(folder), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            )
        self.transcript: list[dict[str, Any]] = []
        self._received = b""

    def __enter__(self) -> ScriptedDaemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        if error is not None:
            sys.stderr.write(self.stderr())

    # What the daemon says

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self.transcript.append({"daemon": dict(message)})
        self.send_line(json.dumps(message).encode())

    def send_line(self, line: bytes) -> None:
        """Send a line as it is."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def initialize(self) -> None:
        """Begin a shard, and wait until the worker is set up."""
        self.send(
            {
                "action": "initialize",
                "shardId": "shardId-1",
                "sequenceNumber": "TRIM_HORIZON",
                "subSequenceNumber": 0,
                "streamArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2024",
                "tableName": "orders",
                "workerId": "host-1",
            }
        )
        self.expect_status("initialize")

    def send_batch(self, *records: Mapping[str, Any] | int) -> None:
        """Send a batch of records, given whole or by their numbers."""
        whole = [record(given) if isinstance(given, int) else given for given in records]
        self.send({"action": "processRecords", "millisBehindLatest": 0, "records": whole})

    def answer(self, sequence_number: str | None, error: str | None = None) -> None:
        """Answer a request for a checkpoint."""
        self.send(
            {
                "action": "checkpoint",
                "sequenceNumber": sequence_number,
                "subSequenceNumber": 0,
                "error": error,
            }
        )

    # What the worker says

    def receive(self, timeout_seconds: float = LONG_SECONDS) -> dict[str, Any]:
        """Return the worker's next message; fail if it is not a line of JSON within the time."""
        line = self._line(timeout_seconds)
        assert line is not None, f"the worker said nothing; its stderr is:\n{self.stderr()}"
        message = json.loads(line)
        assert isinstance(message, dict)
        self.transcript.append({"worker": message})
        return message

    def expect_status(self, action: str) -> None:
        """Expect the acknowledgement of an action."""
        assert self.receive() == {"action": "status", "responseFor": action}

    def expect_checkpoint(self, number: int, error: str | None = None) -> None:
        """Expect the request for a checkpoint, and answer it."""
        assert self.receive() == {
            "action": "checkpoint",
            "sequenceNumber": str(number),
            "subSequenceNumber": None,
        }
        self.answer(str(number), error)

    def expect_exit(self, status: int, timeout_seconds: float = LONG_SECONDS) -> None:
        """Expect that the worker ends, without another word."""
        assert self.process.wait(timeout_seconds) == status
        assert self._line(LONG_SECONDS) is None

    def _line(self, timeout_seconds: float) -> bytes | None:
        """Return a line; None if there is none within the time, or the worker closed its end."""
        assert self.process.stdout is not None
        deadline = monotonic() + timeout_seconds
        while b"\n" not in self._received:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65_536) if ready else b""
            if not piece:
                assert not self._received, f"an unfinished line: {self._received[:200]!r}"
                return None
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return line

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
