"""DynamoDB Local starts, ends with us, and behaves as the daemon's tests rely on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from record_processor.errors import StartError
from record_processor.testing import DynamoDBLocal, create_stream_table, wait_until, write_changes
from record_processor.testing.plugin import MakeStreamTable
from record_processor.testing.sockets import free_port

pytestmark = pytest.mark.local


def _is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_starts_answers_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers when it has started, and knows no secrets; no process is left after it stopped."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    server = DynamoDBLocal()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.endpoint
    with server:
        server.start()
        assert server.client().list_tables()["TableNames"] == []
        assert f"Port:\t{server.port}" in server.output()
        assert b"canary" not in Path(f"/proc/{server.pid}/environ").read_bytes()
        pid, port = server.pid, server.port
    server.stop()
    assert not _is_alive(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_taken_port_is_said() -> None:
    """One line names the port, before Java is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} is taken: choose another"):
            DynamoDBLocal(port).start()


def test_a_port_lost_in_a_race_is_replaced(
    monkeypatch: pytest.MonkeyPatch, dynamodb_local: DynamoDBLocal
) -> None:
    """If another DynamoDB Local takes the free port first, it is not mistaken for ours."""
    ports = iter([dynamodb_local.port, dynamodb_local.port])
    monkeypatch.setattr(
        "record_processor.testing.dynamodb_local.free_port", lambda: next(ports, 0) or free_port()
    )
    with DynamoDBLocal() as server:
        assert next(ports, None) is None
        assert server.port != dynamodb_local.port
        assert server.client().list_tables()["TableNames"] == []


def test_what_does_not_come_up_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If Java ends at once, its last lines are in the error, and no process and no file stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("record_processor.testing.dynamodb_local._MAIN_CLASS", "no.such.Class")
    with pytest.raises(StartError, match=r"ended at once, with code 1; last lines: .*no\.such\.Class"):
        DynamoDBLocal().start()
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_takes_too_long_is_given_up() -> None:
    """The deadline holds, and the process is gone."""
    server = DynamoDBLocal(timeout_seconds=0.01)
    with pytest.raises(StartError, match=r"did not answer within 0\.01 s"):
        server.start()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.pid


STARTER = """
import sys, time
from record_processor.testing import DynamoDBLocal
server = DynamoDBLocal()
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the tie to the parent is the Linux kernel's")
def test_it_dies_with_its_process() -> None:
    """If the process that started it is killed, it is gone within 2 s."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, env=environment
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert _is_alive(pid)
        starter.send_signal(signal.SIGKILL)
        wait_until(lambda: not _is_alive(pid), timeout_seconds=2, what="the end of DynamoDB Local")


def test_several_start_at_once() -> None:
    """Each has its own port and its own tables."""
    servers = [DynamoDBLocal(), DynamoDBLocal()]
    with ThreadPoolExecutor(2) as threads:
        try:
            list(threads.map(DynamoDBLocal.start, servers))
            create_stream_table(servers[0].client(), "only-here")
            assert servers[1].client().list_tables()["TableNames"] == []
        finally:
            for server in servers:
                server.stop()


def test_written_changes_are_in_the_stream(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable
) -> None:
    """Each change is one stream record, and each key's are in the order of writing."""
    table = stream_table()
    progress: list[int] = []
    written = write_changes(
        dynamodb_local.client(),
        table.name,
        500,
        seed=3,
        keys=20,
        payload_bytes=10,
        on_progress=progress.append,
    )
    records = _read_all(dynamodb_local.client("dynamodbstreams"), table.stream_arn)
    assert written.total == len(records) == progress[-1] == 500
    per_key: dict[str, list[int]] = {}
    for record in records:
        change = record["dynamodb"]
        image, more = ("NewImage", 0) if "NewImage" in change else ("OldImage", 1)
        per_key.setdefault(change["Keys"]["pk"]["S"], []).append(int(change[image]["n"]["N"]) + more)
    assert per_key == written.per_key
    names = [record["eventName"] for record in records]
    assert names.count("INSERT") == written.inserted
    assert names.count("MODIFY") == written.modified
    assert names.count("REMOVE") == written.removed


def _shards(streams: Any, stream_arn: str) -> tuple[str, list[dict[str, Any]]]:
    description = streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]
    return description["StreamStatus"], description["Shards"]


def _read_all(streams: Any, stream_arn: str) -> list[dict[str, Any]]:
    """Read the stream's one shard to its end, or as far as it is written."""
    (shard,) = _shards(streams, stream_arn)[1]
    iterator = streams.get_shard_iterator(
        StreamArn=stream_arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records: list[dict[str, Any]] = []
    while iterator:
        answer = streams.get_records(ShardIterator=iterator)
        records += answer["Records"]
        iterator = answer.get("NextShardIterator") if answer["Records"] else None
    return records


def test_the_stream_of_a_deleted_table_stays_readable(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable
) -> None:
    """As on AWS: it is disabled, its shard is closed and ends; a new table has a new stream."""
    tables, streams = dynamodb_local.client(), dynamodb_local.client("dynamodbstreams")
    table = stream_table()
    tables.put_item(TableName=table.name, Item={"pk": {"S": "a"}})
    tables.delete_table(TableName=table.name)
    status, (shard,) = _shards(streams, table.stream_arn)
    assert status == "DISABLED"
    assert "EndingSequenceNumber" in shard["SequenceNumberRange"]
    assert len(_read_all(streams, table.stream_arn)) == 1
    recreated = stream_table(name=table.name)
    assert recreated.stream_arn != table.stream_arn
    assert len(_read_all(streams, table.stream_arn)) == 1
    assert _read_all(streams, recreated.stream_arn) == []


def test_a_disabled_stream_stays_readable(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable
) -> None:
    """The table still names it while it is off; switching on again makes a new one."""
    tables, streams = dynamodb_local.client(), dynamodb_local.client("dynamodbstreams")
    table = stream_table()
    tables.put_item(TableName=table.name, Item={"pk": {"S": "a"}})
    tables.update_table(TableName=table.name, StreamSpecification={"StreamEnabled": False})
    described = tables.describe_table(TableName=table.name)["Table"]
    assert described["LatestStreamArn"] == table.stream_arn
    assert "StreamSpecification" not in described
    assert _shards(streams, table.stream_arn)[0] == "DISABLED"
    assert len(_read_all(streams, table.stream_arn)) == 1
    specification = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    tables.update_table(TableName=table.name, StreamSpecification=specification)
    latest = tables.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    assert latest != table.stream_arn
    assert _shards(streams, latest)[0] == "ENABLED"
    assert len(_read_all(streams, table.stream_arn)) == 1


def test_expired_items_are_removed_by_the_service(
    dynamodb_local: DynamoDBLocal, stream_table: MakeStreamTable
) -> None:
    """DynamoDB Local plays TTL too: the removal's user identity is DynamoDB."""
    tables, streams = dynamodb_local.client(), dynamodb_local.client("dynamodbstreams")
    table = stream_table()
    tables.update_time_to_live(
        TableName=table.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    hour_ago = str(int(time.time()) - 3600)
    tables.put_item(TableName=table.name, Item={"pk": {"S": "a"}, "expires": {"N": hour_ago}})
    records = wait_until(
        lambda: [r for r in _read_all(streams, table.stream_arn) if r["eventName"] == "REMOVE"],
        what="the removal of an expired item",
    )
    assert records[0]["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
