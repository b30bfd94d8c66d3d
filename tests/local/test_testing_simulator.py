"""The stream simulator and DynamoDB Local, to boto3 and to the Java SDK, where both can; the daemon on the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any, Final, TypeAlias

import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from record_processor.testing import FaultProxy, StreamSimulator, StreamTable
from record_processor.testing.plugin import MakeStreamTable
from tests.local.application import MakeApplication
from tests.local.java_streams import JavaStreams

pytestmark = pytest.mark.local

ITEMS: Final[list[dict[str, Any]]] = [
    {"pk": "a", "text": "zażółć", "whole": 12, "negative": Decimal("-12.5"), "zero": 0, "large": 10**37},
    {
        "pk": "a",
        "binary": b"\0\1\2\3",
        "yes": True,
        "nothing": None,
        "empty": "",
        "small": Decimal("0.000123"),
    },
    {"pk": "a", "list": [1, "two", [b"3"], {"four": 5}], "map": {"x": {}, "y": [], "z": "z"}},
    {
        "pk": "a",
        "points": [Decimal(text) for text in ("0.5", "-0.05", "123.45", "1234.5", "12.25", "-99.001")],
        "zeros": [100, 1000, 1001, 10**30 + 1, Decimal("123456789012345678901234567890.12345678")],
    },
    {"pk": "a", "strings": {"a", "bc"}, "numbers": {1, 23, Decimal("4.5")}, "binaries": {b"a", b"bc"}},
]


class Local:
    """A table's stream in DynamoDB Local, seen through the fault proxy."""

    def __init__(self, streams: Any, proxy: FaultProxy, table: StreamTable) -> None:
        """Take the table, and a client of streams."""
        self.streams = streams
        self.tables = proxy.client("dynamodb", 1)
        self.table = table.name
        self.arn = table.stream_arn.replace("ddblocal", proxy.region)

    def write(self, item: dict[str, Any]) -> None:
        """Put an item of Python values."""
        self.tables.put_item(TableName=self.table, Item=TypeSerializer().serialize(item)["M"])

    def delete(self, key: str) -> None:
        """Delete an item."""
        self.tables.delete_item(TableName=self.table, Key={"pk": {"S": key}})

    def disable(self) -> None:
        """Switch the stream off."""
        self.tables.update_table(TableName=self.table, StreamSpecification={"StreamEnabled": False})


class Simulated:
    """The same of a simulated table."""

    def __init__(self, streams: Any, simulator: StreamSimulator) -> None:
        """Make one, for a client of streams."""
        self.streams = streams
        self.tables = simulator.client("dynamodb", 1)
        self.table = "orders"
        self._stream = simulator.create_stream(self.table)
        self._items: dict[str, dict[str, Any]] = {}
        self.arn = self._stream.arn

    def write(self, item: dict[str, Any]) -> None:
        """Put an item of Python values."""
        key = item["pk"]
        self._stream.put({"pk": key}, item, self._items.get(key))
        self._items[key] = item

    def delete(self, key: str) -> None:
        """Delete an item."""
        self._stream.put({"pk": key}, old_image=self._items.pop(key))

    def disable(self) -> None:
        """Switch the stream off."""
        self._stream.disable()


Connect: TypeAlias = Callable[[FaultProxy | StreamSimulator], Any]


@pytest.fixture(params=["boto3", "java-sdk"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """What makes a client of streams, of the one and of the other SDK."""
    with ExitStack() as stack:

        def connected(server: FaultProxy | StreamSimulator) -> Any:
            if request.param == "boto3":
                return server.client("dynamodbstreams", 1)
            return stack.enter_context(JavaStreams(server.endpoint, server.region))

        yield connected


@pytest.fixture(params=["dynamodb-local", "simulator"])
def source(
    request: pytest.FixtureRequest,
    connect: Connect,
    fault_proxy: FaultProxy,
    stream_table: MakeStreamTable,
    stream_simulator: StreamSimulator,
) -> Local | Simulated:
    """A table with a stream, in the one and in the other."""
    if request.param == "simulator":
        return Simulated(connect(stream_simulator), stream_simulator)
    return Local(connect(fault_proxy), fault_proxy, stream_table())


def iterator(source: Local | Simulated, kind: str, **more: str) -> str:
    """Return an iterator of the only shard."""
    (shard,) = source.streams.describe_stream(StreamArn=source.arn)["StreamDescription"]["Shards"]
    answer = source.streams.get_shard_iterator(
        StreamArn=source.arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more
    )
    return str(answer["ShardIterator"])


def pages(source: Local | Simulated, limit: int = 1000) -> Iterator[dict[str, Any]]:
    """Yield answers from the trim horizon to the first empty one, or to the shard's end."""
    following: str | None = iterator(source, "TRIM_HORIZON")
    while following is not None:
        page = source.streams.get_records(ShardIterator=following, Limit=limit)
        yield page
        following = page.get("NextShardIterator") if page["Records"] else None


def error_of(call: Any, **content: Any) -> tuple[str, int]:
    """Return the code and the HTTP status that a call fails with."""
    with pytest.raises(ClientError) as raised:
        call(**content)
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what is another each time, and sets in order."""
    body = {**record["dynamodb"]}
    assert len(body.pop("SequenceNumber")) >= 21
    assert body.pop("ApproximateCreationDateTime").tzinfo is not None
    assert len(record["eventID"]) in {32, 36}
    for image in ("NewImage", "OldImage"):
        for attribute in body.get(image, {}).values():
            for members in (value for name, value in attribute.items() if name in {"SS", "NS", "BS"}):
                members.sort()
    return {**record, "dynamodb": body, "eventID": ""}


def test_a_stream_and_its_table_look_the_same(source: Local | Simulated) -> None:
    """To whoever lists, describes or asks the table for it."""
    described = source.tables.describe_table(TableName=source.table)["Table"]
    assert described["LatestStreamArn"] == source.arn
    assert described["StreamSpecification"] == {
        "StreamEnabled": True,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    assert described["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert described["TableStatus"] == "ACTIVE"
    (listed,) = source.streams.list_streams(TableName=source.table)["Streams"]
    assert listed == {
        "StreamArn": source.arn,
        "TableName": source.table,
        "StreamLabel": source.arn.rpartition("/")[2],
    }
    stream = source.streams.describe_stream(StreamArn=source.arn)["StreamDescription"]
    (shard,) = stream.pop("Shards")
    assert stream.pop("CreationRequestDateTime").isoformat()[:19] == listed["StreamLabel"][:19]
    assert stream == {
        **listed,
        "StreamStatus": "ENABLED",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "KeySchema": described["KeySchema"],
    }
    assert set(shard) == {"ShardId", "SequenceNumberRange"}
    assert set(shard["SequenceNumberRange"]) == {"StartingSequenceNumber"}
    assert source.streams.list_streams(TableName="no-such-table")["Streams"] == []


def test_records_look_the_same(
    connect: Connect,
    fault_proxy: FaultProxy,
    stream_table: MakeStreamTable,
    stream_simulator: StreamSimulator,
) -> None:
    """Every field and the size of each, whatever the items hold."""
    found = []
    for source in (
        Local(connect(fault_proxy), fault_proxy, stream_table()),
        Simulated(connect(stream_simulator), stream_simulator),
    ):
        for item in ITEMS:
            source.write(item)
        source.delete("a")
        found.append([comparable(record) for page in pages(source) for record in page["Records"]])
    assert found[0] == found[1]
    assert len(found[0]) == len(ITEMS) + 1


def test_records_are_read_the_same_way(source: Local | Simulated) -> None:
    """In pages, from each kind of iterator, to the end of a shard that is closed."""
    for n in range(5):
        source.write({"pk": f"key-{n}", "n": n})
    read = list(pages(source, limit=2))
    assert [len(page["Records"]) for page in read] == [2, 2, 1, 0]
    numbers = [record["dynamodb"]["SequenceNumber"] for page in read for record in page["Records"]]
    assert sorted(numbers, key=int) == numbers

    def found(kind: str, **more: str) -> list[str]:
        page = source.streams.get_records(ShardIterator=iterator(source, kind, **more))
        return [record["dynamodb"]["SequenceNumber"] for record in page["Records"]]

    for is_closed in (False, True):
        if is_closed:
            source.disable()
        assert found("TRIM_HORIZON") == numbers
        assert found("AT_SEQUENCE_NUMBER", SequenceNumber=numbers[2]) == numbers[2:]
        assert found("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[2]) == numbers[3:]
        assert found("LATEST") == []
    last = list(pages(source, limit=4))
    assert [len(page["Records"]) for page in last] == [4, 1]
    assert "NextShardIterator" in last[0]
    assert "NextShardIterator" not in last[1]
    stream = source.streams.describe_stream(StreamArn=source.arn)["StreamDescription"]
    assert stream["StreamStatus"] == "DISABLED"
    ending = stream["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"]
    assert int(ending) >= int(numbers[-1])
    described = source.tables.describe_table(TableName=source.table)["Table"]
    assert "StreamSpecification" not in described
    assert described["LatestStreamArn"] == source.arn


def test_wrong_calls_fail_the_same_way(source: Local | Simulated) -> None:
    """With the same code and HTTP status."""
    not_found, invalid = ("ResourceNotFoundException", 400), ("ValidationException", 400)
    streams = source.streams
    source.write({"pk": "a"})
    (shard,) = streams.describe_stream(StreamArn=source.arn)["StreamDescription"]["Shards"]
    no_stream = f"{source.arn[:-3]}xyz"
    assert error_of(streams.describe_stream, StreamArn=no_stream) == not_found
    assert error_of(streams.describe_stream, StreamArn=source.arn, Limit=101) == invalid
    right = {"StreamArn": source.arn, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST"}
    at = {**right, "ShardIteratorType": "AT_SEQUENCE_NUMBER"}
    wrong: list[tuple[dict[str, str], tuple[str, int]]] = [
        ({**right, "StreamArn": no_stream}, not_found),
        ({**right, "ShardId": f"shardId-{0:020}-00000000"}, not_found),
        ({**right, "ShardIteratorType": "NEWEST"}, invalid),
        ({**right, "SequenceNumber": "1" * 21}, invalid),
        (at, invalid),
        ({**at, "SequenceNumber": "0" * 21}, invalid),
    ]
    for content, error in wrong:
        assert error_of(streams.get_shard_iterator, **content) == error, content
    good = streams.get_shard_iterator(**right)["ShardIterator"]
    for nonsense in ("nonsense", f"{source.arn}|1|AAAA", f"{good}x"):
        assert error_of(streams.get_records, ShardIterator=nonsense) == invalid
    assert error_of(streams.get_records, ShardIterator=good, Limit=1001) == invalid


def test_other_tables_are_dynamodb_locals(
    stream_simulator: StreamSimulator, stream_table: MakeStreamTable
) -> None:
    """Through the simulator an application can keep its leases; of a simulated table there are no items."""
    table = stream_table().name
    simulated = f"simulated-{table}"  # other tests may have made a real table of a plainer name
    stream_simulator.create_stream(simulated)
    client = stream_simulator.client("dynamodb", 1)
    client.put_item(TableName=table, Item={"pk": {"S": "a"}})
    assert client.scan(TableName=table)["Count"] == 1
    assert error_of(client.scan, TableName=simulated) == ("ResourceNotFoundException", 400)
    stream_simulator.delete_table(simulated)
    assert error_of(client.describe_table, TableName=simulated) == ("ResourceNotFoundException", 400)


def test_the_daemon_follows_splits_and_roll_overs(
    application: MakeApplication, stream_simulator: StreamSimulator
) -> None:
    """Every record is handled once, each key's in order, over 1, 2, 2 and 4 shards."""
    stream = stream_simulator.create_stream("orders", empty_pages=1)
    app = application(endpoint=stream_simulator.endpoint, sourceTable="orders")
    written = dict(stream.write_changes(200, seed=1, prefix="a-").per_key)
    app.start()
    app.wait_until_handled(200)
    stream.split(*stream.open_shards)
    written |= stream.write_changes(200, seed=2, prefix="b-").per_key
    app.wait_until_handled(400)
    stream.roll()
    written |= stream.write_changes(200, seed=3, prefix="c-").per_key
    for shard in stream.open_shards:
        stream.split(shard)
    written |= stream.write_changes(200, seed=4, prefix="d-").per_key
    app.wait_until_handled(800)
    assert app.drain() == 0
    assert app.check(written).repeats == []
    checkpoints = {row["shardId"]: row["checkpoint"] for row in app.leases()}
    assert len(stream.open_shards) == 4
    for shard in stream.shards:
        if shard.is_open:
            assert checkpoints[shard.id] == shard.records[-1].sequence_number
        else:
            assert checkpoints.get(shard.id, "SHARD_END") == "SHARD_END"
