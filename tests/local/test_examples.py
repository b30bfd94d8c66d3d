"""The examples and the properties files beside them do what they say."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from record_processor import settings
from record_processor.testing import DynamoDBLocal, wait_until
from record_processor.testing.plugin import MakeStreamTable

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


def test_01_print_prints_each_kind_of_change(
    tmp_path: Path, dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable
) -> None:
    """Run from the repository's root with the properties file for DynamoDB Local, on another port."""
    stream_table(name="orders")
    client = dynamodb_local.client()
    for status in ("open", "paid"):
        client.put_item(TableName="orders", Item={"pk": {"S": "7"}, "status": {"S": status}})
    client.delete_item(TableName="orders", Key={"pk": {"S": "7"}})
    file = tmp_path / "local.properties"
    text = (ROOT / "properties" / "local.properties").read_text("utf-8")
    file.write_text(text.replace("http://localhost:8000", dynamodb_local.endpoint), "utf-8")
    file.chmod(0o600)
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "record_processor", "run", str(file)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until(lambda: "removed" in log.read_text("utf-8"), 60, "the last change")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
    text = log.read_text("utf-8")
    assert "inserted {'pk': '7'}" in text
    assert "modified {'pk': '7'} {'status': ('open', 'paid')}" in text
    assert "removed {'pk': '7'}" in text
