"""The command `record-processor local` as a process of its own, with the real DynamoDB Local."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.request import ProxyHandler, build_opener

import pytest

_DEADLINE_SECONDS: Final = 60
_COMMAND: Final = [sys.executable, "-m", "record_processor", "local"]


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run DynamoDB Local; yields the process and the port that it names."""
    process = subprocess.Popen([*_COMMAND, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(
            r"^dynamoDBEndpoint = http://localhost:(\d+)$", "".join(_two_lines(process)), re.MULTILINE
        )
        assert found is not None
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


def _two_lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    yield process.stdout.readline()
    yield process.stdout.readline()


def failed(arguments: list[str], environment: Mapping[str, str] = os.environ) -> tuple[int, str]:
    """Run a command that must fail; return its exit code and its last line."""
    done = subprocess.run(
        [*_COMMAND, *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=_DEADLINE_SECONDS,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.local
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_a_signal(number: int) -> None:
    """It answers where it says, exits with 0, and leaves nothing behind."""
    with running() as (process, port):
        opener = build_opener(ProxyHandler({}))
        with pytest.raises(OSError, match="400"):  # a request without a signature is answered, and refused
            opener.open(f"http://localhost:{port}", timeout=10)
        process.send_signal(number)
        assert process.wait(_DEADLINE_SECONDS) == 0
        with pytest.raises(OSError, match="refused"):
            opener.open(f"http://localhost:{port}", timeout=10)


@pytest.mark.local
def test_a_port_that_is_taken_is_one_line() -> None:
    """The line names the port."""
    with running() as (_, port):
        code, line = failed(["--port", str(port)])
    assert code == 3
    assert line.startswith(f"record-processor: error: port {port} is taken")


def test_without_java_it_is_one_line(tmp_path: Path) -> None:
    """The line says what to install."""
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    code, line = failed([], {**environment, "PATH": str(tmp_path)})
    assert code == 3
    assert line.startswith("record-processor: error: there is no java on PATH: install")
