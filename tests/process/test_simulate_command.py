"""The command `record-processor simulate` as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from record_processor.testing import DynamoDBLocal, wait_until
from record_processor.testing.aws import local_client

_DEADLINE_SECONDS: Final = 60
_COMMAND: Final = [sys.executable, "-m", "record_processor", "simulate"]
_NOBODY: Final = ["--dynamodb-endpoint", "http://127.0.0.1:9"]
"""Enough where no lease is needed."""


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the simulator; yields the process and the properties that it prints."""
    process = subprocess.Popen([*_COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The stream simulator is ready")
        lines = [process.stdout.readline().strip() for _ in range(3)]
        yield process, dict(line.split(" = ") for line in lines)
    finally:
        process.kill()
        process.communicate()


def failed(*arguments: str) -> tuple[int, str]:
    """Run a command that must fail; return its exit code and its last line."""
    done = subprocess.run(
        [*_COMMAND, *arguments], capture_output=True, text=True, timeout=_DEADLINE_SECONDS, check=False
    )
    return done.returncode, done.stderr.splitlines()[-1]


def client(properties: dict[str, str], service: str = "dynamodbstreams") -> Any:
    """Return a client of it, made from what it prints."""
    return local_client(service, properties["dynamoDBEndpoint"], properties["regionName"])


def shards(streams: Any, table: str) -> list[dict[str, Any]]:
    """Return the shards of the table's only stream."""
    (stream,) = streams.list_streams(TableName=table)["Streams"]
    return list(streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"])


def records(streams: Any, table: str) -> list[dict[str, Any]]:
    """Return the records of the table's only stream."""
    (stream,) = streams.list_streams(TableName=table)["Streams"]
    found = []
    for shard in shards(streams, table):
        iterator = streams.get_shard_iterator(
            StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found += streams.get_records(ShardIterator=iterator)["Records"]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_writes_plays_and_ends_by_a_signal(tmp_path: Path, number: int) -> None:
    """What the options and the script say is in the stream; a script that still waits does not hold it."""
    script = tmp_path / "script.jsonl"
    lines = [{"do": "split", "shard": 0}, {"at_seconds": 3600, "do": "roll"}]
    script.write_text("\n".join(map(json.dumps, lines)))
    with running(str(script), "--table", "things", "--shards", "2", "--generate", "50", *_NOBODY) as (
        process,
        properties,
    ):
        assert properties["sourceTable"] == "things"
        streams = client(properties)
        wait_until(lambda: len(shards(streams, "things")) == 4, _DEADLINE_SECONDS, "the split")
        assert len(records(streams, "things")) == 50
        process.send_signal(number)
        assert process.wait(_DEADLINE_SECONDS) == 0


def test_recorded_changes_bring_their_keys(tmp_path: Path) -> None:
    """The table has the key of the first record."""
    recording = tmp_path / "recorded.jsonl"
    record = {"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"N": "1"}, "at": {"S": "x"}}}}
    recording.write_text(json.dumps(record))
    with running("--records", str(recording), *_NOBODY) as (_, properties):
        streams, tables = client(properties), client(properties, "dynamodb")
        table = tables.describe_table(TableName="orders")["Table"]
        assert [key["AttributeName"] for key in table["KeySchema"]] == ["id", "at"]
        (found,) = wait_until(lambda: records(streams, "orders"), _DEADLINE_SECONDS, "the record")
        assert found["dynamodb"]["Keys"] == {"id": {"N": "1"}, "at": {"S": "x"}}


@pytest.mark.local
def test_leases_have_a_place(dynamodb_local: DynamoDBLocal) -> None:
    """In a DynamoDB Local that is named, or that it starts itself."""
    for arguments in (["--dynamodb-endpoint", dynamodb_local.endpoint], []):
        with running(*arguments) as (_, properties):
            assert "TableNames" in client(properties, "dynamodb").list_tables()


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    """In a file, in a step whose turn it is, in the options, and a port that is taken."""
    script = tmp_path / "script.jsonl"
    script.write_text('{"do": "rol"}')
    code, line = failed(str(script))
    assert code == 2
    assert line.startswith(f"record-processor: error: {script}:1: 'do' is 'rol'; did you mean 'roll'?; ")
    script.write_text('{"do": "split", "shard": 3}')
    message = f"record-processor: error: {script}:1: there are not so many shards now"
    assert failed(str(script), "--port", "0", *_NOBODY) == (2, message)
    code, line = failed("--records", str(script), "--generate", "1")
    assert (code, "exclude each other" in line) == (2, True)
    code, line = failed("--dynamodb-endpoint", "https://dynamodb.eu-west-1.amazonaws.com")
    assert (code, "is not a URL like" in line) == (2, True)
    with running(*_NOBODY) as (_, properties):
        port = properties["dynamoDBEndpoint"].rpartition(":")[2]
        code, line = failed("--port", port, *_NOBODY)
    assert (code, f"port {port} is taken" in line) == (3, True)
