"""Runs moto as a server: queues, topics and buckets on this host, for as long as a block runs.

moto comes with the extra `testing-aws`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from record_processor.errors import StartError
from record_processor.testing.aws import DUMMY_CREDENTIALS, local_client
from record_processor.testing.sockets import free_port, is_listening

_TETHER: Final = str(Path(__file__).parents[1] / "worker" / "tether.py")
_NEEDED: Final = ("moto", "flask", "flask_cors")
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02


class AwsServer:
    """A moto server on the loopback, started by `with` and ended by its end.

    Args:
        port: the TCP port it listens on each time it is started; without one, whichever is free then.

    It ends with this process, on Linux already with the thread that started it. Its data are in memory.
    """

    region: Final = "eu-west-1"
    """A region for clients; moto has them all."""
    account: Final = "123456789012"
    """The account that moto says everything belongs to."""

    def __init__(self, port: int | None = None) -> None:
        self._wanted_port = port

    def __enter__(self) -> AwsServer:
        """Start it and wait until it answers. Raises StartError: moto is missing, or what it wrote."""
        _check_installed()
        self.port = free_port() if self._wanted_port is None else self._wanted_port
        self._clients: dict[str, Any] = {}
        self._output = tempfile.TemporaryFile()  # closed by stop
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", _TETHER, "--new-session", "--"),
                *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **DUMMY_CREDENTIALS, "RECORD_PROCESSOR_PARENT_PID": str(os.getpid())},
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def stop(self) -> None:
        """End it at once; nothing if it has ended."""
        self._process.kill()
        self._process.wait()
        self._output.close()

    @property
    def endpoint(self) -> str:
        """Its URL, the same for every service."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which any AWS SDK talks to it."""
        return {**DUMMY_CREDENTIALS, "AWS_REGION": self.region, "AWS_ENDPOINT_URL": self.endpoint}

    def client(self, service: str) -> Any:
        """Return a boto3 client of it, which threads may share."""
        if service not in self._clients:  # making one takes long
            self._clients[service] = local_client(service, self.endpoint, self.region)
        return self._clients[service]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not (is_listening(self._process.pid, self.port) and _answers(self.port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._output.seek(0)
                output = self._output.read().decode("utf-8", "replace")
                raise StartError(f"moto does not answer on port {self.port}; it wrote: {output}")
            time.sleep(_POLL_SECONDS)


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise StartError(
            f"{' and '.join(missing)} cannot be imported, which the AWS server is made of: "
            "pip install 'dynamodb-streams-record-processor[testing-aws]'"
        )


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/moto-api/data.json")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
