"""`record-processor run` looks for onFailureDestination before Java starts."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from record_processor.testing.aws import DUMMY_CREDENTIALS
from tests.process.test_launcher_run import Runner, errors

_QUEUE = "onFailureDestination = sqs://orders-failed\nonFailureOverflow = s3://bucket"


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """A Runner in a fresh folder, with credentials."""
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    made = Runner(tmp_path)
    yield made
    made.close()


def test_a_place_that_is_there_is_no_obstacle(runner: Runner) -> None:
    """The folder is made, and the daemon starts."""
    folder = runner.folder / "failed"
    runner.write("processor = shop:Orders", f"onFailureDestination = file://{folder}")
    launcher = runner.started("drains")
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.end()[0] == 0
    assert folder.is_dir()


def test_a_place_that_cannot_be_is_one_line_and_exit_code_2(runner: Runner) -> None:
    """Java is not started."""
    runner.write("processor = shop:Orders", "onFailureDestination = file:///dev/null/failed")
    launcher = runner.start("drains")
    code, stderr = launcher.end()
    assert (code, launcher.note("started")) == (2, [])
    (line,) = errors(stderr)
    assert (
        "orders.properties: onFailureDestination: /dev/null/failed cannot be written: Not a directory; "
        in line
    )
    assert "Traceback" not in stderr


def test_an_aws_that_is_not_there_is_one_line_and_exit_code_3(runner: Runner) -> None:
    """Perhaps it is later: a service manager may try again."""
    runner.write("processor = shop:Orders", _QUEUE)
    launcher = runner.start("drains", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    code, stderr = launcher.end()
    assert (code, launcher.note("started")) == (3, [])
    (line,) = errors(stderr)
    assert "orders.properties: onFailureDestination: queue orders-failed: AWS does not answer: " in line


def test_a_signal_ends_the_wait_for_aws(runner: Runner) -> None:
    """Ctrl-C while AWS does not answer is an orderly end."""
    runner.write("processor = shop:Orders", _QUEUE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        launcher = runner.start("drains", AWS_ENDPOINT_URL=endpoint)
        connection, _ = server.accept()
        with connection:
            launcher.process.send_signal(signal.SIGINT)
            code, stderr = launcher.end()
    assert (code, errors(stderr), launcher.note("started")) == (0, [], [])
