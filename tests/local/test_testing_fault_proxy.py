"""The fault proxy in front of the real DynamoDB Local, as SDKs see it."""

from __future__ import annotations

import os
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from record_processor.testing import AwsError, DynamoDBLocal, FaultProxy, StreamTable, wait_until
from record_processor.testing.faults import ConnectionEndsError, Exchange
from record_processor.testing.http_wire import Message
from record_processor.testing.plugin import MakeStreamTable

pytestmark = pytest.mark.local


@pytest.fixture
def table(stream_table: MakeStreamTable) -> StreamTable:
    """A table with a stream."""
    return stream_table()


@pytest.fixture
def tables(fault_proxy: FaultProxy) -> Any:
    """A client that shows every fault as it is."""
    return fault_proxy.client("dynamodb", 1)


@pytest.fixture
def streams(fault_proxy: FaultProxy) -> Any:
    """The same for streams."""
    return fault_proxy.client("dynamodbstreams", 1)


def _put(client: Any, table: StreamTable, key: str) -> None:
    client.put_item(TableName=table.name, Item={"pk": {"S": key}})


def _keys(local: DynamoDBLocal, table: StreamTable) -> set[str]:
    return {item["pk"]["S"] for item in local.client().scan(TableName=table.name)["Items"]}


def _iterator(streams: Any, stream_arn: str) -> tuple[str, str]:
    (shard,) = streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]["Shards"]
    answer = streams.get_shard_iterator(
        StreamArn=stream_arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )
    return shard["ShardId"], answer["ShardIterator"]


def _code(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


def test_streams_look_like_awss(
    fault_proxy: FaultProxy, table: StreamTable, tables: Any, streams: Any, dynamodb_local: DynamoDBLocal
) -> None:
    """ARNs, iterators and records show the region; items, binary ones too, come through as they are."""
    stream_arn = tables.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    assert stream_arn == table.stream_arn.replace("ddblocal", "eu-west-1")
    item = {"pk": {"S": table.stream_arn}, "StreamArn": {"S": stream_arn}, "b": {"B": bytes(range(256))}}
    tables.put_item(TableName=table.name, Item=item)
    shard, iterator = _iterator(streams, stream_arn)
    assert iterator.startswith("arn:aws:dynamodb:eu-west-1:")
    answer = streams.get_records(ShardIterator=iterator)
    assert [record["awsRegion"] for record in answer["Records"]] == ["eu-west-1"]
    assert answer["Records"][0]["dynamodb"]["NewImage"] == item
    assert answer["NextShardIterator"].startswith("arn:aws:dynamodb:eu-west-1:")
    streams.get_records(ShardIterator=answer["NextShardIterator"])
    assert fault_proxy.calls.count("GetRecords", table.name, shard) == 2
    (direct,) = dynamodb_local.client().scan(TableName=table.name)["Items"]
    assert direct == item


def test_arns_can_be_left_alone(dynamodb_local: DynamoDBLocal, table: StreamTable) -> None:
    """Without rewriting, the proxy shows what DynamoDB Local says."""
    with FaultProxy(dynamodb_local.endpoint, rewrite_arns=False) as proxy:
        described = proxy.client().describe_table(TableName=table.name)["Table"]
    assert described["LatestStreamArn"] == table.stream_arn


def test_a_checksum_fits_the_changed_body(fault_proxy: FaultProxy, table: StreamTable) -> None:
    """SDKs that check the CRC32 of an answer find it right; the connection stays open between calls."""
    connection = HTTPConnection("127.0.0.1", fault_proxy.port)
    credential = "Credential=a/20200101/eu-west-1/dynamodb/aws4_request"
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.DescribeTable",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0",
        "Accept-Encoding": "gzip",
    }
    used = []
    for _ in range(2):
        connection.request("POST", "/", f'{{"TableName": "{table.name}"}}', headers)
        answer = connection.getresponse()
        body = answer.read()
        assert b":eu-west-1:" in body
        assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(body)
        used.append(connection.sock)
    assert used[0] is used[1] is not None
    connection.close()


def test_large_bodies_pass(tables: Any, table: StreamTable) -> None:
    """A batch of the largest items, 13 MB of JSON, goes up, and comes back."""
    sent = {str(n): {"pk": {"S": str(n)}, "b": {"B": os.urandom(390_000)}} for n in range(25)}
    requests: Any = {table.name: [{"PutRequest": {"Item": item}} for item in sent.values()]}
    while requests:
        requests = tables.batch_write_item(RequestItems=requests)["UnprocessedItems"]
    keys = [{"pk": {"S": key}} for key in sent]
    items = tables.batch_get_item(RequestItems={table.name: {"Keys": keys}})["Responses"][table.name]
    assert items
    assert all(sent[item["pk"]["S"]] == item for item in items)


def test_an_error_hits_as_often_as_told(fault_proxy: FaultProxy, table: StreamTable, tables: Any) -> None:
    """`after` spares the first, `times` limits, other tables are spared, and what failed had no effect."""
    fault = fault_proxy.fail("PutItem", times=2, after=1, table=table.name)
    fault_proxy.fail("PutItem", table="another")
    _put(tables, table, "a")
    assert _code(lambda: _put(tables, table, "b")) == "ThrottlingException"
    assert _code(lambda: _put(tables, table, "c")) == "ThrottlingException"
    _put(tables, table, "d")
    assert fault.hits == 2
    assert {item["pk"]["S"] for item in tables.scan(TableName=table.name)["Items"]} == {"a", "d"}
    assert [call.status for call in fault_proxy.calls.log("PutItem")] == [200, 400, 400, 200]


def test_an_error_can_be_aimed_at_a_shard(
    fault_proxy: FaultProxy, table: StreamTable, tables: Any, streams: Any
) -> None:
    """GetRecords is known by its iterator; another shard's calls go on."""
    stream_arn = tables.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    shard, iterator = _iterator(streams, stream_arn)
    missed = fault_proxy.fail("GetRecords", shard="shardId-other")
    hit = fault_proxy.fail("GetRecords", "ExpiredIteratorException", shard=shard)
    assert _code(lambda: streams.get_records(ShardIterator=iterator)) == "ExpiredIteratorException"
    hit.remove()
    streams.get_records(ShardIterator=iterator)
    assert (missed.hits, hit.hits) == (0, 1)


def test_an_error_can_be_aimed_by_a_function(
    fault_proxy: FaultProxy, table: StreamTable, tables: Any
) -> None:
    """Only the requests for which it is true are hit."""
    fault_proxy.fail(
        "PutItem", "InternalServerError", match=lambda request: request["Item"]["pk"]["S"] == "b"
    )
    _put(tables, table, "a")
    assert _code(lambda: _put(tables, table, "b")) == "InternalServerError"


def test_access_denied_names_action_and_resource(
    fault_proxy: FaultProxy, table: StreamTable, tables: Any, streams: Any
) -> None:
    """As AWS does, with the stream's ARN or the table's."""
    stream_arn = tables.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    fault_proxy.fail("*", "AccessDeniedException")
    with pytest.raises(ClientError, match=f"dynamodb:DescribeStream on resource: {stream_arn} "):
        streams.describe_stream(StreamArn=stream_arn)
    with pytest.raises(ClientError, match=f"dynamodb:PutItem on resource: .*:table/{table.name} "):
        _put(tables, table, "a")


def test_sdks_retry_what_is_throttled(fault_proxy: FaultProxy, table: StreamTable) -> None:
    """The error is one that an SDK knows as such."""
    fault_proxy.fail("PutItem", times=1)
    _put(fault_proxy.client(), table, "a")
    assert fault_proxy.calls["PutItem"] == 2


def test_a_delay_lets_the_call_go_on(fault_proxy: FaultProxy, table: StreamTable, tables: Any) -> None:
    """It takes so long, and a fault after it still acts."""
    fault_proxy.delay("PutItem", 0.3, times=2)
    fault_proxy.fail("PutItem", after=1)
    start = time.monotonic()
    _put(tables, table, "a")
    assert time.monotonic() - start >= 0.3
    assert _code(lambda: _put(tables, table, "b")) == "ThrottlingException"


@pytest.mark.parametrize("forwarded", [False, True])
def test_a_reset_breaks_the_connection(
    fault_proxy: FaultProxy, table: StreamTable, tables: Any, dynamodb_local: DynamoDBLocal, forwarded: bool
) -> None:
    """The client gets no answer; whether the write happened is ours to say."""
    fault_proxy.reset("PutItem", forwarded=forwarded)
    with pytest.raises(ConnectionClosedError):
        _put(tables, table, "a")
    assert _keys(dynamodb_local, table) == ({"a"} if forwarded else set())
    assert [call.status for call in fault_proxy.calls.log("PutItem")] == [None]


def _raw_request(operation: str) -> bytes:
    credential = "Credential=a/20200101/eu-west-1/dynamodb/aws4_request"
    lines = [
        "POST / HTTP/1.1",
        "Host: localhost",
        f"X-Amz-Target: DynamoDB_20120810.{operation}",
        "Content-Type: application/x-amz-json-1.0",
        f"Authorization: AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0",
        "Content-Length: 2",
        "",
        "{}",
    ]
    return "\r\n".join(lines).encode()


def _receive_all(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def test_a_reset_is_a_reset(fault_proxy: FaultProxy) -> None:
    """It is TCP's RST, not a quiet end."""
    fault_proxy.reset("ListTables")
    with socket.create_connection(("127.0.0.1", fault_proxy.port)) as connection:
        connection.sendall(_raw_request("ListTables"))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_half_an_answer_is_cut_in_its_body(fault_proxy: FaultProxy) -> None:
    """The head promises more than comes before the end."""
    fault_proxy.half_answer("ListTables")
    with socket.create_connection(("127.0.0.1", fault_proxy.port)) as connection:
        connection.sendall(_raw_request("ListTables"))
        head, _, body = _receive_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    (length,) = [int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"Content-Length")]
    assert len(body) == length // 2


def test_removing_ends_a_hang(fault_proxy: FaultProxy, table: StreamTable, tables: Any) -> None:
    """A call hangs until its fault is removed; others go on meanwhile."""
    fault = fault_proxy.hang("PutItem")
    failures: list[BotoCoreError] = []

    def put() -> None:
        try:
            _put(tables, table, "a")
        except BotoCoreError as error:
            failures.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    fault_proxy.calls.wait_for("PutItem")
    tables.describe_table(TableName=table.name)
    assert thread.is_alive()
    fault.remove()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(failures[0], ConnectionClosedError)


def test_a_function_can_make_the_answer(
    fault_proxy: FaultProxy, table: StreamTable, tables: Any, streams: Any
) -> None:
    """A shard roll-over: the parent's iterator ends, and a child is there."""
    stream_arn = tables.describe_table(TableName=table.name)["Table"]["LatestStreamArn"]
    parent, iterator = _iterator(streams, stream_arn)

    def with_child(request: dict[str, Any], forward: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        answer = forward()
        child = {**answer["StreamDescription"]["Shards"][0], "ShardId": "child", "ParentShardId": parent}
        answer["StreamDescription"]["Shards"].append(child)
        return answer

    def closed(request: dict[str, Any], forward: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in forward().items() if name != "NextShardIterator"}

    fault_proxy.respond("DescribeStream", with_child)
    fault_proxy.respond("GetRecords", closed, shard=parent)
    shards = streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]["Shards"]
    assert [shard.get("ParentShardId") for shard in shards] == [None, parent]
    assert "NextShardIterator" not in streams.get_records(ShardIterator=iterator)


def test_a_function_may_fail_or_ask_something_else(
    fault_proxy: FaultProxy, table: StreamTable, tables: Any
) -> None:
    """DynamoDB's errors pass through it, it may raise its own, and a mistake in it reaches the client."""

    def no_such_table(request: dict[str, Any], forward: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        return forward({**request, "TableName": "no-such-table"})

    def limit(request: dict[str, Any], forward: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        raise AwsError("LimitExceededException", "enough")

    def broken(request: dict[str, Any], forward: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        return {"Table": request["Tabel"]}

    def describe() -> None:
        tables.describe_table(TableName=table.name)

    for function, code in (
        (no_such_table, "ResourceNotFoundException"),
        (limit, "LimitExceededException"),
        (broken, "InternalFailure"),
    ):
        fault = fault_proxy.respond("DescribeTable", function)
        assert _code(describe) == code
        fault.remove()
    describe()


def test_clear_removes_everything(fault_proxy: FaultProxy, tables: Any) -> None:
    """Afterwards calls go through."""
    fault_proxy.fail("*")
    fault_proxy.reset("*")
    fault_proxy.clear()
    tables.list_tables()


def _reset_late(exchange: Exchange, removed: threading.Event) -> Message:
    """Hang, and let the proxy's end come first: it must still be a reset."""
    removed.wait()
    time.sleep(0.2)
    raise ConnectionEndsError(reset=True)


def test_stopping_ends_every_connection(dynamodb_local: DynamoDBLocal) -> None:
    """Hanging calls and idle connections end, and no thread stays."""
    proxy = FaultProxy(dynamodb_local.endpoint)
    with pytest.raises(RuntimeError, match="does not run"):
        _ = proxy.endpoint
    before = threading.active_count()
    with ExitStack() as sockets:
        with proxy:
            proxy._add("ListTables", {}, _reset_late)
            idle, hanging = (
                sockets.enter_context(socket.create_connection(("127.0.0.1", proxy.port))) for _ in range(2)
            )
            hanging.sendall(_raw_request("ListTables"))
            proxy.calls.wait_for("ListTables")
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionResetError):
            hanging.recv(1)
    wait_until(lambda: threading.active_count() <= before, what="the end of all threads")


def test_an_end_upstream_is_an_end_for_the_client() -> None:
    """If DynamoDB Local is gone, the client's connection is reset, and the proxy lives on."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with FaultProxy(f"http://127.0.0.1:{port}") as proxy:
        for _ in range(2):
            with pytest.raises(ConnectionClosedError):
                proxy.client("dynamodb", 1).list_tables()
        assert proxy.calls["ListTables"] == 2


def test_many_connections_at_once(
    fault_proxy: FaultProxy, table: StreamTable, dynamodb_local: DynamoDBLocal
) -> None:
    """Every call of several threads, each with connections of its own, is served and counted."""

    def put_many(writer: int) -> None:
        client = fault_proxy.client()
        for n in range(20):
            _put(client, table, f"{writer}-{n}")

    threads = [threading.Thread(target=put_many, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert fault_proxy.calls.count("PutItem", table.name) == 160
    assert len(_keys(dynamodb_local, table)) == 160


def test_a_wrong_url_is_refused() -> None:
    """The upstream must be plain HTTP with a port."""
    with pytest.raises(ValueError, match="is not a URL like"):
        FaultProxy("https://dynamodb.eu-west-1.amazonaws.com")
