"""A record-processor application under test: the real command, the real daemon, on DynamoDB Local."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeAlias

import boto3

from record_processor.testing import HistoryLog, check_history, wait_until
from record_processor.testing.history import CHECKPOINT, HistoryReport
from record_processor.worker.output import FIRST_PRIVATE_FD

HERE: Final = Path(__file__).parent
START_SECONDS: Final = 60.0
NURSERY: Final = "rp-nursery"
_PIDFD_GETFD: Final = 438
"""Linux's number of the system call."""


class Application:
    """`record-processor run` on a properties file of its own, with what it logged and what it handled."""

    def __init__(self, folder: Path, endpoint: str, **properties: object) -> None:
        """Take a folder for its files; properties override those of an application with handlers:Recorder."""
        self.folder = folder
        self.endpoint = endpoint
        self.properties: dict[str, object] = {
            "processor": "handlers:Recorder",
            "applicationName": f"app-{folder.name}"[:60].replace("[", "-").replace("]", ""),
            "dynamoDBEndpoint": endpoint,
            "idleTimeBetweenReadsInMillis": 200,
            **properties,
        }
        if "executableName" in properties:
            del self.properties["processor"]
        self.history = HistoryLog(folder / "history.jsonl")
        self.log_file = folder / "log.jsonl"
        self.environment: dict[str, str] = {}
        self.python = sys.executable
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The applicationName."""
        return str(self.properties["applicationName"])

    def start(self, **properties: object) -> Application:
        """Start the command; it need not be ready when this returns."""
        self.properties |= properties
        file = self.folder / "app.properties"
        file.write_text("".join(f"{name} = {value}\n" for name, value in self.properties.items()), "utf-8")
        file.chmod(0o600)
        own = {"TEST_FOLDER": str(self.folder), "PYTHONPATH": str(HERE)}
        environment = os.environ | own | self.environment
        command = [self.python, "-m", "record_processor", "run", str(file), "--log-format", "json"]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # a process group of its own, as a shell gives it
                command, stderr=log, stdout=log, env=environment, start_new_session=True, cwd=self.folder
            )
        return self

    def start_and_wait(self, **properties: object) -> Application:
        """Start the command and wait until a shard is being read."""
        before = len(self.lines("reading the shard"))
        self.start(**properties)
        self.wait_for_line("reading the shard", count=before + 1)
        return self

    @property
    def pid(self) -> int:
        """The command's process id."""
        assert self._process is not None
        return self._process.pid

    def daemon_pid(self) -> int:
        """The JVM's process id."""
        return wait_until(lambda: _jvms(self.pid), START_SECONDS, "a JVM")[0]

    def worker_pids(self) -> list[int]:
        """The process ids of the shards' processes."""
        return [
            pid for parent in (self.pid, *_jvms(self.pid)) for pid in _children(parent) if _is_worker(pid)
        ]

    def nursery_pid(self) -> int:
        """The process id of what forks them."""
        return wait_until(
            lambda: [pid for pid in _children(self.pid) if _name(pid) == NURSERY], START_SECONDS, "a nursery"
        )[0]

    def a_worker(self) -> int:
        """Wait for a shard's process, and return its id."""
        return wait_until(self.worker_pids, START_SECONDS, "a worker")[0]

    def await_word_for(self, worker: int) -> None:
        """Wait until a busy worker has been told something that it does not look at yet."""
        message = f"a message for worker {worker}"
        theirs = _take_descriptor(worker, FIRST_PRIVATE_FD)
        try:
            wait_until(lambda: _unread_bytes(theirs) > 0, START_SECONDS, message)
        finally:
            os.close(theirs)

    def lines(self, text: str = "", **fields: object) -> list[dict[str, Any]]:
        """Return the log lines that contain a text and have these fields."""
        found = []
        for line in self._raw_log().splitlines():
            if not line.startswith("{"):
                continue  # of a command line error, or half written
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if text in entry["message"] and all(entry.get(name) == value for name, value in fields.items()):
                found.append(entry)
        return found

    def wait_for_line(
        self, text: str, count: int = 1, timeout_seconds: float = START_SECONDS, **fields: object
    ) -> dict[str, Any]:
        """Wait until so many log lines contain a text, and return the last of them."""
        try:
            wait_until(
                lambda: len(self.lines(text, **fields)) >= count, timeout_seconds, f"{text!r} in the log"
            )
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self._log_end()}") from error
        return self.lines(text, **fields)[-1]

    def wait_for_flag(self, name: str) -> None:
        """Wait until a handler has said something by a flag."""
        wait_until((self.folder / name).exists, START_SECONDS, f"the flag {name}")

    def wait_until_handled(self, count: int, timeout_seconds: float = 90) -> None:
        """Wait until so many different changes were handled."""

        def handled() -> bool:
            assert self._process is None or self._process.poll() is None, f"it ended\n{self._log_end()}"
            return len({(entry.key, entry.n) for entry in self.history.handled()}) >= count

        try:
            wait_until(handled, timeout_seconds, f"{count} changes handled", interval_seconds=0.1)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self._log_end()}") from error

    def check(self, written: Mapping[str, Sequence[int]]) -> HistoryReport:
        """Hold what was handled against what was written."""
        report = check_history(self.history.entries(), written)
        report.assert_clean()
        return report

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the command, or to its whole process group."""
        (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, timeout_seconds: float = 40) -> int:
        """Wait for the command's end and return its exit code."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end\n{self._log_end()}") from None

    def drain(self, number: signal.Signals = signal.SIGTERM, *, group: bool = False) -> int:
        """Ask for a drain, mark it, and return the exit code."""
        self.send(number, group=group)
        code = self.wait()
        self.history.mark("drain")
        return code

    @contextmanager
    def disruption(self, kind: str) -> Iterator[None]:
        """Mark what the block does, and before it how far each shard is checkpointed: no repeat lies below."""
        for row in self.leases():
            self.history.mark(CHECKPOINT, shard_id=row["shardId"], sequence_number=row["checkpoint"])
        with self.history.during(kind):
            yield

    def leases(self) -> list[dict[str, Any]]:
        """Return the rows of the lease table, attribute values as text."""
        client = boto3.client(
            "dynamodb",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        rows = client.scan(TableName=self.name, ConsistentRead=True)["Items"]
        return [{name: next(iter(value.values())) for name, value in row.items()} for row in rows]

    def owners(self) -> list[object]:
        """Return who owns a lease, according to the table."""
        return [row["leaseOwner"] for row in self.leases() if "leaseOwner" in row]

    def output(self) -> str:
        """Return everything it wrote to its terminal."""
        return self._raw_log()

    def _log_end(self) -> str:
        return self._raw_log()[-6000:]

    def _raw_log(self) -> str:
        return self.log_file.read_text("utf-8", errors="replace") if self.log_file.exists() else ""

    def __enter__(self) -> Application:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing running."""
        if self._process is None or self._process.poll() is not None:
            return
        for pid in [*self.worker_pids(), *_children(self.pid), self.pid]:
            kill(pid)
        self._process.wait(10)


MakeApplication: TypeAlias = Callable[..., Application]
"""The fixture `application`: takes properties, and an `endpoint` other than DynamoDB Local's own."""


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _take_descriptor(pid: int, number: int) -> int:
    """Return a copy of another process's descriptor."""
    process = os.pidfd_open(pid)
    try:
        descriptor = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
        assert descriptor >= 0, os.strerror(ctypes.get_errno())
        return int(descriptor)
    finally:
        os.close(process)


def _unread_bytes(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def is_alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _jvms(launcher: int) -> list[int]:
    """The daemon, but not what the launcher starts for a moment to check something, `java -version` too."""
    return [pid for pid in _children(launcher) if b"recordprocessor.Daemon" in _command_line(pid)]


def _is_worker(pid: int) -> bool:
    return _name(pid) != NURSERY and b"record_processor.worker" in _command_line(pid)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    except OSError:
        return ""  # it ended meanwhile


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it ended meanwhile


def _children(parent: int) -> list[int]:
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == parent and fields[0] != "Z":
            children.append(int(stat.parent.name))
    return children
