"""The examples and the properties files beside them do what they say."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from record_processor import settings
from record_processor.testing import DynamoDBLocal, wait_until

pytestmark = pytest.mark.local

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "properties").glob("*.properties")), ids=lambda file: file.name
)
def test_each_properties_file_is_accepted(file: Path, tmp_path: Path) -> None:
    """As it is in the repository, but for permissions that a clone may have got."""
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    copy.chmod(0o600)
    assert settings.load(copy)["applicationName"]


def test_01_print_prints_what_make_orders_does(tmp_path: Path, dynamodb_local: DynamoDBLocal) -> None:
    """As the README has it: from the repository's root, but with DynamoDB Local on another port."""
    file = tmp_path / "local.properties"
    text = (ROOT / "properties" / "local.properties").read_text("utf-8")
    file.write_text(text.replace("http://localhost:8000", dynamodb_local.endpoint), "utf-8")
    file.chmod(0o600)
    with (
        _running(tmp_path / "orders.txt", "examples/make_orders.py", dynamodb_local.endpoint) as orders,
        _running(tmp_path / "log.txt", "-m", "record_processor", "run", str(file)) as processor,
    ):
        wait_until(lambda: "removed" in _text(tmp_path / "log.txt"), 60, "the first order's end")
        for process in (orders, processor):
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
    printed = _text(tmp_path / "log.txt")
    assert "inserted {'id': '1'} {'id': '1', 'status': 'open'}" in printed
    assert "modified {'id': '1'} {'status': ('open', 'paid')}" in printed
    assert "removed {'id': '1'}" in printed


@contextmanager
def _running(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _text(file: Path) -> str:
    return file.read_text("utf-8")
