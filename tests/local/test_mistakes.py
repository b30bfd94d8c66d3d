"""Each mistake gets one line that says what, where and how to mend it, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from record_processor.testing import DynamoDBLocal
from record_processor.testing.plugin import MakeStreamTable

pytestmark = pytest.mark.local

GOOD: Final = {
    "processor": "mine:Mine",
    "sourceTable": "orders",
    "applicationName": "mistakes",
    "regionName": "eu-west-1",
    "dynamoDBEndpoint": "http://127.0.0.1:9",
}
MODULE: Final = """
from record_processor import RecordProcessor

class Mine(RecordProcessor):
    def process_record(self, record):
        pass

class Nothing(RecordProcessor):
    pass
"""


def run(folder: Path, file: str = "app.properties", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "record_processor", "run", file],
        cwd=folder,
        env=plain | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def write(folder: Path, **changed: str | None) -> None:
    """Write a properties file and a module; None leaves a property out."""
    (folder / "mine.py").write_text(MODULE, "utf-8")
    properties = {name: value for name, value in (GOOD | changed).items() if value is not None}
    file = folder / "app.properties"
    file.write_text("".join(f"{name} = {value}\n" for name, value in properties.items()), "utf-8")
    file.chmod(0o644)


def the_error(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line; nothing of ours may stand above it but log lines."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("record-processor: error: ")]
    assert len(errors) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == errors[0]
    return errors[0].removeprefix("record-processor: error: ")


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"sourceTabel": "orders"}, 2, ["sourceTabel", "sourceTable", "app.properties:"]),
        ({"maxRecords": "many"}, 2, ["maxRecords", "1", "1000"]),
        ({"maxRecords": "0"}, 2, ["maxRecords", "1"]),
        ({"initialPositionInStream": "NOW"}, 2, ["TRIM_HORIZON", "LATEST"]),
        ({"shutdownGraceMillis": "0"}, 2, ["shutdownGraceMillis", "1000"]),
        ({"streamName": "s"}, 2, ["streamName", "sourceTable", "streamArn"]),
        ({"executableName": "cat"}, 2, ["processor", "executableName"]),
        ({"processor": None}, 2, ["processor", "executableName"]),
        ({"sourceTable": None}, 2, ["sourceTable", "streamArn"]),
        ({"applicationName": None}, 2, ["applicationName"]),
        ({"dynamoDBEndpoint": "http://example.com"}, 2, ["dynamoDBEndpoint", "https"]),
        ({"processor": "mine.Mine"}, 2, ["module:Class"]),
        ({"processor": "mine:Mien"}, 2, ["Mien", "Mine"]),
        ({"processor": "mine:Nothing"}, 2, ["on_insert"]),
        ({"processor": "mine:RecordProcessor"}, 2, ["RecordProcessor"]),
        ({"processor": "nosuch:Mine"}, 2, ["nosuch"]),
        ({"processor": None, "executableName": "nosuchprogram --x"}, 2, ["nosuchprogram"]),
        ({"secretKey": "hunter2"}, 2, ["secretKey"]),
    ],
)
def test_a_mistake_in_the_file_is_one_line(
    tmp_path: Path, changed: dict[str, str | None], code: int, said: list[str]
) -> None:
    """Before Java is started; a value that may be a secret is not repeated."""
    write(tmp_path, **changed)
    result = run(tmp_path)
    assert result.returncode == code, result.stderr
    for text in said:
        assert text in the_error(result)
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8."""
    assert "nosuch.properties" in the_error(run(tmp_path, "nosuch.properties"))
    assert "folder" in the_error(run(tmp_path, str(tmp_path)))
    (tmp_path / "latin.properties").write_bytes(b"processor = \xff\xfe")
    (tmp_path / "latin.properties").chmod(0o600)
    result = run(tmp_path, "latin.properties")
    assert result.returncode == 2
    assert "UTF-8" in the_error(result)


@pytest.mark.fault(5)
def test_an_error_in_the_users_module_comes_with_the_users_traceback(tmp_path: Path) -> None:
    """With their own frames only, and the line at the end."""
    write(tmp_path)
    (tmp_path / "mine.py").write_text("import json\n\ndef broken():\n    return 1 / 0\n\nbroken()\n", "utf-8")
    result = run(tmp_path)
    assert result.returncode == 2
    assert "ZeroDivisionError" in the_error(result)
    assert 'mine.py", line 6' in result.stderr
    assert "return 1 / 0" in result.stderr
    assert "record_processor/" not in result.stderr.replace(str(tmp_path), "")
    assert "importlib" not in result.stderr


def test_no_java_or_an_old_one_is_one_line(tmp_path: Path) -> None:
    """It names what is needed."""
    write(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run(tmp_path, PATH=str(empty), JAVA_HOME="")
    assert result.returncode == 3
    assert "Java" in the_error(result)
    assert "17" in the_error(result)
    old = tmp_path / "old" / "bin"
    old.mkdir(parents=True)
    (old / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n", "utf-8")
    (old / "java").chmod(0o755)
    result = run(tmp_path, JAVA_HOME=str(old.parent))
    assert result.returncode == 3
    assert "11" in the_error(result)
    assert "17" in the_error(result)


@pytest.mark.fault(24)
def test_no_credentials_are_one_line(tmp_path: Path) -> None:
    """Found out before anything is called."""
    write(tmp_path, dynamoDBEndpoint=None)
    result = run(tmp_path, AWS_EC2_METADATA_DISABLED="true", HOME=str(tmp_path))
    assert result.returncode == 3, result.stderr
    assert "no AWS credentials" in the_error(result)


def test_a_table_that_is_not_there_is_one_line(tmp_path: Path, dynamodb_local: DynamoDBLocal) -> None:
    """With its name, the region and the endpoint; no table is made because of it."""
    write(
        tmp_path, dynamoDBEndpoint=dynamodb_local.endpoint, sourceTable="nosuchtable", applicationName="typo"
    )
    result = run(tmp_path)
    assert result.returncode == 3
    assert "no such table: nosuchtable in eu-west-1" in the_error(result)
    tables = dynamodb_local.client().list_tables()["TableNames"]
    assert [table for table in tables if table.startswith("typo")] == []


def test_a_table_without_a_stream_is_one_line(
    tmp_path: Path, dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable
) -> None:
    """With the command that switches it on."""
    table = stream_table()
    dynamodb_local.client().update_table(TableName=table.name, StreamSpecification={"StreamEnabled": False})
    write(tmp_path, dynamoDBEndpoint=dynamodb_local.endpoint, sourceTable=table.name)
    result = run(tmp_path)
    assert result.returncode == 3
    assert f"table {table.name} has no stream" in the_error(result)
    assert "aws dynamodb update-table" in the_error(result)


def test_a_stream_that_is_not_there_is_one_line(tmp_path: Path, dynamodb_local: DynamoDBLocal) -> None:
    """With its ARN."""
    arn = "arn:aws:dynamodb:ddblocal:000000000000:table/gone/stream/2020-01-01T00:00:00.000"
    write(tmp_path, dynamoDBEndpoint=dynamodb_local.endpoint, sourceTable=None, streamArn=arn)
    result = run(tmp_path)
    assert result.returncode == 3, result.stderr
    assert f"no such stream: {arn}" in the_error(result)


def test_an_endpoint_where_nobody_listens_is_one_line(tmp_path: Path) -> None:
    """It names what to check."""
    write(tmp_path)
    result = run(tmp_path)
    assert result.returncode == 3
    assert "dynamoDBEndpoint" in the_error(result)
