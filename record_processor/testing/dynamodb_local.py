"""Runs DynamoDB Local: in memory, one database for all, on a port of its own, for as long as a block runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from record_processor.errors import StartError
from record_processor.testing.aws import DUMMY_CREDENTIALS, local_client
from record_processor.testing.dynamodb_local_files import dynamodb_local_files
from record_processor.testing.java import find_java
from record_processor.testing.sockets import free_port, is_listening

_TETHER: Final = str(Path(__file__).parents[1] / "worker" / "tether.py")
_MAIN_CLASS: Final = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
_PORT_TRIES: Final = 5
_POLL_SECONDS: Final = 0.02
_LAST_LINES: Final = 5


class DynamoDBLocal:
    """A DynamoDB Local, started by `with` or `start` and ended by its end or `stop`.

    It ends with this process, whatever happens to it; on Linux already with the *thread* that started it, so
    start it in one that stays. Its data are in memory and gone afterwards. It listens on all of the host's
    addresses, which it offers no way to change, and takes any credentials: put nothing secret into it. It is
    not told our environment's AWS credentials, and sends no telemetry.

    On the first use its files are got through Maven: see `dynamodb_local_files`.
    """

    region: Final = "us-east-1"
    """A region for clients; DynamoDB Local accepts every one, and says `ddblocal` in its ARNs."""

    def __init__(self, port: int | None = None, *, timeout_seconds: float = 60) -> None:
        """Take a port, or None for a free one, and how long it may take to answer (2 s are usual)."""
        self._wanted_port = port
        self._timeout_seconds = timeout_seconds
        self._running: _Server | None = None

    def start(self) -> None:
        """Start it and wait until it answers; nothing if it runs.

        Raises StartError, in one line: no Java, no Maven, the port is taken, or its last lines if it did not
        come up.
        """
        if self._running is None:
            java, files = find_java(), dynamodb_local_files()
            self._running = self._start_on_some_port(java, files)

    def stop(self) -> None:
        """Stop it and wait for its end; nothing if it does not run."""
        if self._running is not None:
            self._running.kill()
            self._running = None

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return self._server.port

    @property
    def endpoint(self) -> str:
        """Its URL, as for the property `dynamoDBEndpoint`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._server.process.pid

    def output(self) -> str:
        """Return what it has written to stdout and stderr so far; that is kept in a file without a name."""
        return self._server.output()

    def client(self, service: str = "dynamodb", max_attempts: int = 5) -> Any:
        """Return a boto3 client of "dynamodb" or "dynamodbstreams"; it tries a call `max_attempts` times."""
        return local_client(service, self.endpoint, self.region, max_attempts)

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which any AWS SDK talks to it."""
        return {**DUMMY_CREDENTIALS, "AWS_REGION": self.region, "AWS_ENDPOINT_URL": self.endpoint}

    def __enter__(self) -> DynamoDBLocal:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def _server(self) -> _Server:
        if self._running is None:
            raise RuntimeError("DynamoDB Local does not run: call start(), or use it in a with statement")
        return self._running

    def _start_on_some_port(self, java: str, files: Path) -> _Server:
        if self._wanted_port is not None:
            if _is_taken(self._wanted_port):  # said before Java has been started in vain
                raise _PortTakenError(self._wanted_port)
            return _Server.started(java, files, self._wanted_port, self._timeout_seconds)
        for _ in range(_PORT_TRIES - 1):
            with suppress(_PortTakenError):  # by somebody between our look and Java's bind
                return _Server.started(java, files, free_port(), self._timeout_seconds)
        return _Server.started(java, files, free_port(), self._timeout_seconds)


class _PortTakenError(StartError):
    """Somebody else listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: choose another, or end what listens there")


class _Server:
    """One DynamoDB Local process."""

    def __init__(self, java: str, files: Path, port: int) -> None:
        self.port = port
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 closed by kill
        self.process = subprocess.Popen(
            _command(java, files, port),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )

    @classmethod
    def started(cls, java: str, files: Path, port: int, timeout_seconds: float) -> _Server:
        """Start one and return it once it answers. Raises StartError, and then nothing is left of it."""
        server = cls(java, files, port)
        try:
            server._wait_until_it_answers(timeout_seconds)
        except BaseException:
            server.kill()
            raise
        return server

    def kill(self) -> None:
        """End it at once: its data are in memory, there is nothing to save."""
        self.process.kill()
        self.process.wait()
        self._output.close()

    def output(self) -> str:
        # pread: the position in the file is the process's too, and must stay at the end.
        file = self._output.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8", "replace")

    def _wait_until_it_answers(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        # That somebody answers is not enough: on a port that was lost to another, the other would.
        while not (is_listening(self.process.pid, self.port) and _answers(self.port)):
            if self.process.poll() is not None:
                raise self._ended()
            if time.monotonic() > deadline:
                limit = f"{timeout_seconds:g} s"
                raise StartError(
                    f"DynamoDB Local did not answer within {limit}; last lines: {self._last_lines()}"
                )
            time.sleep(_POLL_SECONDS)

    def _ended(self) -> StartError:
        if "Address already in use" in self.output():
            return _PortTakenError(self.port)
        code = self.process.returncode
        return StartError(f"DynamoDB Local ended at once, with code {code}; last lines: {self._last_lines()}")

    def _last_lines(self) -> str:
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        return " | ".join(lines[-_LAST_LINES:]) or "none"


def _command(java: str, files: Path, port: int) -> list[str]:
    return [
        *(sys.executable, "-I", "-S", _TETHER, "--new-session", "--"),
        *(java, "-XX:-CreateCoredumpOnCrash", f"-Djava.library.path={files}", "-cp", f"{files}/*"),
        *(_MAIN_CLASS, "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)),
    ]


def _environment() -> dict[str, str]:
    """Return ours without AWS's variables: no real credentials for a toy."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**ours, **DUMMY_CREDENTIALS, "RECORD_PROCESSOR_PARENT_PID": str(os.getpid())}


def _answers(port: int) -> bool:
    """Whether ListTables succeeds; without boto3, so that starting needs only the standard library."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    credential = f"{DUMMY_CREDENTIALS['AWS_ACCESS_KEY_ID']}/20200101/us-east-1/dynamodb/aws4_request"
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0",
    }
    try:
        connection.request("POST", "/", b"{}", headers)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _is_taken(port: int) -> bool:
    """Whether Java could not listen there: as it does, on all addresses and past connections in TIME_WAIT."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False
