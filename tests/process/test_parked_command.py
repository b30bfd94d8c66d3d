"""`record-processor parked` as a process of its own: signals, terminals, pipes, a queue."""

from __future__ import annotations

import json
import os
import pty
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from record_processor.aws import Aws
from record_processor.parking import destination_at
from record_processor.parking.files import FileDestination
from record_processor.testing import wait_until
from record_processor.testing.aws_server import AwsServer
from tests.destination_suite import records
from tests.parked_records import parked

_SHOP = """
import time
from pathlib import Path
from record_processor import RecordProcessor

class Orders(RecordProcessor):
    def on_insert(self, record):
        print("handling", record.sequence_number)
        with open("handled", "a") as file:
            print(record.sequence_number, file=file)
        while Path("hold").exists():
            time.sleep(0.01)
        with open("finished", "a") as file:
            print(record.sequence_number, file=file)
"""


# Of a terminal, so that Ctrl-C is a signal.
_IN_FOREGROUND = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Shop:
    """A folder with a class, a properties file, and commands that run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = dict(os.environ)
        self.processes: list[subprocess.Popen[str]] = []
        self.destination = FileDestination(folder / "failed")
        self.destination.check()
        (folder / "shop.py").write_text(_SHOP)
        self.properties(f"onFailureDestination = file://{folder / 'failed'}")

    def properties(self, *more: str) -> None:
        """Write the properties file."""
        lines = ["processor = shop:Orders", "sourceTable = orders", "regionName = eu-west-1"]
        path = self.folder / "orders.properties"
        path.write_text("\n".join([*lines, "applicationName = orders-to-search", *more]))
        path.chmod(0o600)

    def command(self, *words: str) -> list[str]:
        """Return a command on the file."""
        return [sys.executable, "-m", "record_processor", "parked", words[0], "orders.properties", *words[1:]]

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return its exit code and what it wrote."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def holding(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and return once its first handler runs, which does not end while `hold` exists."""
        (self.folder / "hold").touch()
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        wait_until(lambda: self.lines("handled"), what="a handler that runs")
        return process

    def lines(self, name: str) -> list[str]:
        """Return what the handler wrote to a file."""
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def left(self) -> list[str]:
        """Return the sequence numbers of what is still parked in files."""
        return [each.sequence_number for each in records(self.destination)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Give a shop with three parked records; at the end nothing of it runs."""
    made = Shop(tmp_path)
    for number in ("1", "2", "3"):
        made.destination.put(parked(number, pk=number))
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_record_in_hand(shop: Shop, number: int) -> None:
    """That one is finished and removed, the others stay, and it is said how far it came."""
    process = shop.holding("redrive", "--yes")
    process.send_signal(number)
    (shop.folder / "hold").unlink()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("1 of 3 redriven, 0 failed\n")
    assert shop.lines("finished") == ["1"]
    assert shop.left() == ["2", "3"]


def test_a_second_signal_ends_it_at_once(shop: Shop) -> None:
    """The record that was in hand stays parked."""
    process = shop.holding("redrive", "--yes")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("stopping after this record"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.rstrip().endswith("0 of 3 redriven, 0 failed")
    assert shop.left() == ["1", "2", "3"]


def test_a_kill_loses_nothing(shop: Shop) -> None:
    """What was in hand is still parked: it is removed only when it is handled."""
    process = shop.holding("redrive", "--yes")
    process.kill()
    process.communicate()
    assert shop.left() == ["1", "2", "3"]
    (shop.folder / "hold").unlink()
    assert shop.run("redrive", "--yes")[0] == 0
    assert shop.lines("finished") == ["1", "2", "3"]
    assert shop.left() == []


@pytest.mark.parametrize(("answer", "left"), [("y", []), ("n", ["1", "2", "3"]), ("\x03", ["1", "2", "3"])])
def test_on_a_terminal_it_asks(shop: Shop, answer: str, left: list[str]) -> None:
    """And does nothing at a no, or at Ctrl-C."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _IN_FOREGROUND,
            *shop.command("delete"),
        ],
        cwd=shop.folder,
        env=shop.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = _read_until(ours, b"[y/N]: ")
    assert b"Delete 3 parked records?" in seen
    os.write(ours, f"{answer}\n".encode())
    seen = _read_until(ours, None)
    assert process.wait(30) == (130 if answer == "\x03" else 0)
    os.close(ours)
    assert shop.left() == left
    assert b"Traceback" not in seen
    if answer == "y":
        assert b"3 of 3 deleted, 0 failed\r\n" in seen


def _read_until(terminal: int, end: bytes | None) -> bytes:
    """Read until something was written, or to the end."""
    seen = b""
    with suppress(OSError):  # a terminal that nobody has open any more ends like this
        while end is None or not seen.endswith(end):
            part = os.read(terminal, 1000)
            if not part:
                break
            seen += part
    return seen


def test_a_reader_that_leaves_early_is_no_error(shop: Shop) -> None:
    """`parked list FILE | head -1` is quiet."""
    for number in range(100, 400):
        shop.destination.put(parked(str(number)))
    process = subprocess.Popen(
        shop.command("list", "--json"),
        cwd=shop.folder,
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["id"]
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 1


# --- A queue ---


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    """Give a server for the tests of queues."""
    with AwsServer() as server:
        yield server


def test_a_queue_from_the_check_to_the_last_record(
    shop: Shop, aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """List, redrive, and list again: what is listed is there for the next command at once."""
    name, bucket = f"failed-{secrets.token_hex(6)}", f"bucket-{secrets.token_hex(6)}"
    aws.client("sqs").create_queue(QueueName=name)
    aws.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": AwsServer.region}
    )
    shop.properties(f"onFailureDestination = sqs://{name}", f"onFailureOverflow = s3://{bucket}/large")
    shop.environment |= aws.environment()
    for variable, value in aws.environment().items():
        monkeypatch.setenv(variable, value)
    destination = destination_at(f"sqs://{name}", f"s3://{bucket}/large", Aws(AwsServer.region))
    destination.put(parked("1", data="x" * 2_000_000))
    destination.put(parked("2"))
    destination.put(parked("2"))
    for _ in range(2):
        code, out, err = shop.run("list", "--json")
        assert (code, len(out.splitlines()), err) == (0, 3, "")
    code, _, err = shop.run("redrive", "--yes")
    assert code == 0
    assert err.endswith("3 of 3 redriven, 0 failed\n")
    assert shop.lines("finished") == ["1", "2"]  # what is there twice is handled once
    assert shop.run("list", "--json") == (0, "", "")
    assert aws.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_what_aws_does_not_have_is_one_line(shop: Shop, aws: AwsServer) -> None:
    """With exit code 3, also for a command that only reads."""
    shop.properties("onFailureDestination = s3://no-such-bucket")
    shop.environment |= aws.environment()
    code, _, err = shop.run("list")
    assert code == 3
    assert err.startswith(
        "record-processor: error: orders.properties: onFailureDestination: ListObjectsV2 failed"
    )
    assert err.count("\n") == 1
