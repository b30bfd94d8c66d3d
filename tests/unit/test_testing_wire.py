"""What the fault proxy reads and rewrites: HTTP messages, ARNs, what a request is about."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record_processor.testing.arns import Arns
from record_processor.testing.aws_errors import AwsError, error_answer, error_in, json_answer
from record_processor.testing.calls import Calls
from record_processor.testing.http_wire import Message, WireError, read_message
from record_processor.testing.request import Iterators, Request, understand

LOCAL = "arn:aws:dynamodb:ddblocal:000000000000:table/orders/stream/2026-11-23T23:41:09.096"
OURS = LOCAL.replace("ddblocal", "eu-west-1")


def _read(data: bytes) -> Message | None:
    return read_message(io.BufferedReader(io.BytesIO(data)))


@given(st.binary(max_size=2000))
def test_messages_survive_the_wire(body: bytes) -> None:
    """Any body comes out as it went in."""
    message = Message("POST / HTTP/1.1", [("Host", "x")], b"").with_body(body)
    assert _read(message.encode()) == message


@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_chunks_are_joined(chunks: list[bytes]) -> None:
    """A chunked answer, as DynamoDB Local sends long ones, becomes one body."""
    wire = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    read = _read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + wire + b"0\r\nTrailer: 1\r\n\r\n")
    assert read is not None
    assert read.body == b"".join(chunks)
    assert read.with_body(read.body).header("transfer-encoding") == ""


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1",
        b"POST / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nnonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    ],
)
def test_what_is_not_http_is_an_error(data: bytes) -> None:
    """Broken and cut messages raise instead of hanging or passing as whole."""
    with pytest.raises(WireError):
        _read(data)


def test_a_closed_connection_is_no_message() -> None:
    """The end between two messages is not an error."""
    assert _read(b"") is None


def test_a_client_may_wait_for_leave() -> None:
    """Expect: 100-continue is answered before the body is read."""
    sent: list[bytes] = []
    data = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
    message = read_message(io.BufferedReader(io.BytesIO(data)), sent.append)
    assert sent == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert message is not None
    assert message.body == b"{}"


def test_arns_are_exchanged_both_ways() -> None:
    """The API's own fields change their region, with or without spaces, and back again."""
    answer = {
        "Table": {"LatestStreamArn": LOCAL, "TableArn": LOCAL.partition("/stream")[0]},
        "NextShardIterator": f"{LOCAL}|001|abc",
        "Records": [{"awsRegion": "ddblocal"}],
    }
    for separators in ((",", ":"), (", ", " : ")):
        body = json.dumps(answer, separators=separators).encode()
        seen = Arns("eu-west-1").to_region(body)
        assert b"ddblocal" not in seen
        assert seen.count(b"eu-west-1") == 4
    asked = json.dumps({"StreamArn": OURS, "ShardIterator": f"{OURS}|001|abc"}).encode()
    assert Arns("eu-west-1").to_local(asked).count(b"ddblocal") == 2


ITEM_STRINGS = st.one_of(
    st.text(),
    st.sampled_from([LOCAL, OURS, "ddblocal", f'"StreamArn":"{LOCAL}"', '"awsRegion":"ddblocal"', "\\", '"']),
)


@given(
    st.dictionaries(st.sampled_from(["StreamArn", "awsRegion", "TableName", "x"]), ITEM_STRINGS), ITEM_STRINGS
)
def test_items_are_never_touched(attributes: dict[str, str], text: str) -> None:
    """Whatever an item holds, and however its attributes are called, goes through unchanged."""
    item: dict[str, Any] = {name: {"S": value} for name, value in attributes.items()}
    item["list"] = {"L": [{"S": text}, {"M": item.copy()}, {"SS": [text]}]}
    body = json.dumps({"Item": item}).encode()
    arns = Arns("eu-west-1")
    assert arns.to_region(body) == body == arns.to_local(body)


def _request(operation: str, **content: Any) -> Message:
    headers = [("x-amz-target", f"DynamoDBStreams_20120810.{operation}")]
    return Message("POST / HTTP/1.1", headers, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("content", "tables"),
    [
        ({"TableName": "orders"}, ("orders",)),
        ({"TableName": "arn:aws:dynamodb:eu-west-1:1:table/orders"}, ("orders",)),
        ({"StreamArn": OURS}, ("orders",)),
        ({"RequestItems": {"b": [], "a": []}}, ("a", "b")),
        ({"TransactItems": [{"Put": {"TableName": "b"}}, {"Delete": {"TableName": "a"}}]}, ("a", "b")),
        ({"TransactItems": "nonsense"}, ()),
        ({}, ()),
    ],
)
def test_the_tables_of_a_request_are_known(content: dict[str, Any], tables: tuple[str, ...]) -> None:
    """Each way to name a table is understood."""
    assert understand(_request("Any", **content), Iterators()).tables == tables


def test_what_is_not_dynamodb_is_no_operation() -> None:
    """A browser's request has neither an operation nor a table."""
    assert understand(Message("GET / HTTP/1.1", [], b"<html>"), Iterators()).operation == ""


def test_iterators_lead_to_their_shard() -> None:
    """GetRecords is known by the iterator that GetShardIterator, or GetRecords before, handed out."""
    iterators = Iterators()
    first = understand(_request("GetShardIterator", StreamArn=OURS, ShardId="shardId-7"), iterators)
    iterators.learn(first, json_answer({"ShardIterator": 'one"|/'}))
    second = understand(_request("GetRecords", ShardIterator='one"|/'), iterators)
    assert (second.tables, second.stream_arn, second.shard) == (("orders",), OURS, "shardId-7")
    fake = [{"dynamodb": {"NewImage": {"NextShardIterator": {"S": '"NextShardIterator":"fake"'}}}}]
    iterators.learn(second, json_answer({"NextShardIterator": "two", "Records": fake}))
    assert understand(_request("GetRecords", ShardIterator="two"), iterators).shard == "shardId-7"
    assert understand(_request("GetRecords", ShardIterator="fake"), iterators).shard == ""


def test_an_item_called_like_the_iterator_does_not_mislead() -> None:
    """The answer's own iterator is found behind records whose attributes have its name."""
    iterators = Iterators()
    request = Request("GetRecords", ("orders",), OURS, "shardId-7", {})
    fake = [{"dynamodb": {"NewImage": {"NextShardIterator": {"S": "fake"}}}}]
    iterators.learn(request, json_answer({"Records": fake, "NextShardIterator": "two"}))
    assert understand(_request("GetRecords", ShardIterator="two"), iterators).shard == "shardId-7"


def test_errors_look_like_awss() -> None:
    """The namespace, the status, the message and the checksum are as AWS sends them, and can be read back."""
    request = Request("DescribeStream", ("orders",), OURS, "", {})
    denied = error_answer(AwsError("AccessDeniedException"), request, "eu-west-1")
    content = json.loads(denied.body)
    assert denied.status == 400
    assert content["__type"] == "com.amazon.coral.service#AccessDeniedException"
    assert content["Message"].startswith("User: arn:aws:iam::000000000000:user/")
    assert f"is not authorized to perform: dynamodb:DescribeStream on resource: {OURS} " in content["Message"]
    throttled = error_answer(AwsError("ThrottlingException"), request, "eu-west-1")
    assert json.loads(throttled.body)["__type"] == "com.amazonaws.dynamodb.v20120810#ThrottlingException"
    broken = error_answer(AwsError("InternalServerError", "oh"), request, "eu-west-1")
    read = error_in(broken)
    assert (read.code, read.message, read.http_status) == ("InternalServerError", "oh", 500)
    assert error_in(Message("HTTP/1.1 502 Bad", [], b"<html>")).http_status == 502


def test_calls_are_counted_and_awaited() -> None:
    """Counts by operation, table and shard; waiting ends when the count is reached or in an error."""
    calls = Calls()
    calls.add(Request("GetRecords", ("orders",), OURS, "a", {}))
    calls.add(Request("BatchWriteItem", ("items", "orders"), "", "", {}))
    calls.add(Request("GetRecords", ("orders",), OURS, "b", {}))
    assert calls["GetRecords"] == calls.count("GetRecords", "orders") == 2
    assert calls.count("GetRecords", shard="a") == 1
    assert calls.count("BatchWriteItem", "items") == calls.count("BatchWriteItem", "orders") == 1
    assert calls["PutItem"] == 0
    assert [call.table for call in calls.log()] == ["orders", "items,orders", "orders"]
    calls.wait_for("GetRecords", 2, 0)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"GetRecords was called 2 times in 0\.05 s, not 3"):
        calls.wait_for("GetRecords", 3, 0.05)
    assert time.monotonic() - start < 5
    calls.clear()
    assert calls["GetRecords"] == len(calls.log()) == 0
