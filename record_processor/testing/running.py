"""Runs the real command on a test's properties: `record-processor run`, with its daemon and its workers."""

from __future__ import annotations

import inspect
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from record_processor.errors import ConfigurationError
from record_processor.processor import RecordProcessor
from record_processor.testing.aws import local_client
from record_processor.testing.properties import write_properties
from record_processor.testing.waiting import wait_until

if TYPE_CHECKING:
    from typing_extensions import Self

START_SECONDS: Final = 60.0
"""As long as a start may take on a busy host."""
DRAIN_SECONDS: Final = 40.0
"""As long as a drain may take: more than `shutdownGraceMillis`."""
_READING: Final = "reading the shard"
_LOG_END: Final = 6000


class RunningApplication:
    """`record-processor run` in a process of its own: a context manager, at whose end it is killed.

    Args:
        folder: for its files: `app.properties`, `log.jsonl`.
        endpoint: the property dynamoDBEndpoint: DynamoDB Local's, a fault proxy's or a simulator's.
        processor: a class that can be imported by its module's name, or `module:Class`.
        properties: those of the file, by the same names, as Python values; `applicationName` is one that no
            other has, unless it is given.

    Its modules are looked up where this process looks them up. Raises ConfigurationError for a class that
    another process cannot import.
    """

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        processor: type[RecordProcessor[Any]] | str | None = None,
        **properties: object,
    ) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.properties: dict[str, object] = {
            "processor": _name_of(processor),
            "applicationName": f"app-{secrets.token_hex(6)}",
            "dynamoDBEndpoint": endpoint,
            "idleTimeBetweenReadsInMillis": 200,
            **properties,
        }
        self.log_file = folder / "log.jsonl"
        self.environment: dict[str, str] = {"PYTHONPATH": os.pathsep.join(_search_path(processor))}
        """What it has besides this process's."""
        self.python = sys.executable
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The applicationName, which is the name of its lease table, too."""
        return str(self.properties["applicationName"])

    # Its life

    def start(self, **properties: object) -> Self:
        """Start the command, with more properties, and return; it need not be ready then."""
        self.properties |= properties
        command = [
            *(self.python, "-m", "record_processor", "run", str(self.write_file())),
            *("--log-format", "json"),
        ]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # a process group of its own, as a shell gives it
                command,
                stdin=subprocess.DEVNULL,
                stderr=log,
                stdout=log,
                env=os.environ | self.environment,
                start_new_session=True,
                cwd=self.folder,
            )
        return self

    def start_and_wait(self, **properties: object) -> Self:
        """Start the command and wait until a shard is being read.

        Raises AssertionError, with the end of the log, if it ends instead or takes too long.
        """
        before = len(self.lines(_READING))
        self.start(**properties)
        self.wait_for_line(_READING, count=before + 1)
        return self

    def drain(self, number: signal.Signals = signal.SIGTERM, *, group: bool = False) -> int:
        """Ask it to stop, and return its exit code: 0 if all that was handled is checkpointed."""
        self.send(number, group=group)
        return self.wait()

    def kill(self) -> None:
        """End it at once, without a drain, as a host that dies: its daemon and workers end with it."""
        self.send(signal.SIGKILL)
        self.wait()

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the command, or to its whole process group."""
        (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, timeout_seconds: float = DRAIN_SECONDS) -> int:
        """Wait for the command's end and return its exit code. Raises AssertionError if it goes on."""
        try:
            return self._started.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end\n{self.log_end()}") from None

    @property
    def pid(self) -> int:
        """The command's process id."""
        return self._started.pid

    @property
    def has_ended(self) -> bool:
        """Whether it was started and has ended."""
        return self._process is not None and self._process.poll() is not None

    # What it logs

    def lines(self, text: str = "", **fields: object) -> list[dict[str, Any]]:
        """Return the log lines whose message contains a text and that have these fields."""
        return [
            line
            for line in _json_lines(self.output())
            if text in line.get("message", "")
            and all(line.get(name) == value for name, value in fields.items())
        ]

    def wait_for_line(
        self, text: str, count: int = 1, timeout_seconds: float = START_SECONDS, **fields: object
    ) -> dict[str, Any]:
        """Wait until so many log lines contain a text, and return the last of them.

        Raises AssertionError, with the end of the log, if it takes too long or the command ends before.
        """
        self.wait_until(
            lambda: len(self.lines(text, **fields)) >= count, f"{text!r} in the log", timeout_seconds
        )
        return self.lines(text, **fields)[-1]

    def wait_until(
        self, condition: Callable[[], object], what: str = "", timeout_seconds: float = START_SECONDS
    ) -> None:
        """Wait until something holds, which it does while the command runs or when it has ended.

        Raises AssertionError, with the end of the log, if it takes too long or the command ends before.
        """

        def is_over() -> bool:
            has_ended = self.has_ended  # looked at first: what it did last counts
            if condition():
                return True
            if has_ended:
                raise AssertionError(f"{what or 'it'} did not happen: it ended\n{self.log_end()}")
            return False

        try:
            wait_until(is_over, timeout_seconds, what)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log_end()}") from error

    def output(self) -> str:
        """Return everything it wrote to its terminal."""
        return self.log_file.read_text("utf-8", errors="replace") if self.log_file.exists() else ""

    def log_end(self) -> str:
        """Return the end of that."""
        return self.output()[-_LOG_END:]

    # What it stores

    def leases(self) -> list[dict[str, str]]:
        """Return the rows of its lease table, attributes as text: `shardId`, `checkpoint`, `leaseOwner`.

        Raises what boto3 raises while there is no such table.
        """
        client = local_client("dynamodb", self.endpoint, "us-east-1")
        try:
            rows = client.scan(TableName=self.name, ConsistentRead=True)["Items"]
        finally:
            client.close()
        return [{name: str(next(iter(value.values()))) for name, value in row.items()} for row in rows]

    def write_file(self) -> Path:
        """Write its properties file, and return where it is."""
        file = self.folder / "app.properties"
        write_properties(file, self.properties)
        return file

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing running."""
        if self._process is not None and not self.has_ended:
            self.kill()

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("it was not started")
        return self._process


def _name_of(processor: type[RecordProcessor[Any]] | str | None) -> str | None:
    if not isinstance(processor, type):
        return processor
    if processor.__module__ == "__main__" or "<locals>" in processor.__qualname__:
        raise ConfigurationError(
            f"{processor.__module__}:{processor.__qualname__} cannot be imported by another process: define "
            "it at the top of a module"
        )
    return f"{processor.__module__}:{processor.__qualname__}"


def _search_path(processor: type[RecordProcessor[Any]] | str | None) -> list[str]:
    """Return where modules are looked up: as here, and where the class's own module is."""
    paths = [path for path in sys.path if path]
    if isinstance(processor, type):
        levels = processor.__module__.count(".")
        paths.insert(0, str(Path(inspect.getfile(processor)).absolute().parents[levels]))
    return paths


def _json_lines(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        if not line.startswith("{"):
            continue  # of a command line error, or printed
        try:
            found.append(json.loads(line))
        except ValueError:  # half written
            continue
    return found
