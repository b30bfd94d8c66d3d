"""The destination dynamodb://table, on DynamoDB Local; what is too large goes to moto's S3."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from record_processor.aws import Aws
from record_processor.errors import ConfigurationError
from record_processor.parking import Destination, destination_at
from record_processor.testing import DynamoDBLocal
from record_processor.testing.aws_server import AwsServer
from tests.destination_suite import DestinationSuite, Place, read, records
from tests.parked_records import parked

pytestmark = pytest.mark.local

_LARGEST_ITEM = 400 * 1024


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    """Give a server for all tests of this module."""
    with AwsServer() as server:
        yield server


@pytest.fixture
def bucket(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of an empty bucket, and let every client reach it."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{secrets.token_hex(6)}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": AwsServer.region}
    )
    return name


@pytest.fixture
def client(dynamodb_local: DynamoDBLocal) -> Any:
    """Give a client of DynamoDB Local."""
    return dynamodb_local.client()


@pytest.fixture
def table(dynamodb_local: DynamoDBLocal, bucket: str, client: Any) -> str:
    """Give the name of an empty table, made by the command that check() tells."""
    name = f"parked-{secrets.token_hex(6)}"
    with pytest.raises(
        ConfigurationError, match=f"there is no table {name}; create it: aws dynamodb"
    ) as told:
        at(dynamodb_local, name, bucket).check()
    options = _options(str(told.value))
    assert options.pop("endpoint-url") == dynamodb_local.endpoint
    assert options.pop("region") == AwsServer.region
    client.create_table(
        TableName=options.pop("table-name"),
        AttributeDefinitions=[_pairs(options.pop("attribute-definitions"))],
        KeySchema=[_pairs(options.pop("key-schema"))],
        BillingMode=options.pop("billing-mode"),
    )
    assert not options
    return name


def _options(line: str) -> dict[str, str]:
    words = iter(shlex.split(line.partition("aws dynamodb create-table ")[2]))
    return {word.removeprefix("--"): next(words) for word in words}


def _pairs(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in text.split(","))}


def at(dynamodb_local: DynamoDBLocal, table: str, bucket: str, endpoint: str = "") -> Destination:
    """Return a destination."""
    aws = Aws(AwsServer.region, endpoint or dynamodb_local.endpoint)
    return destination_at(f"dynamodb://{table}", f"s3://{bucket}/large", aws)


class TestDynamoDB(DestinationSuite):
    """The suite, in a table."""

    @pytest.fixture
    def place(self, dynamodb_local: DynamoDBLocal, table: str, bucket: str, client: Any) -> Place:
        """Give an empty table."""

        def add_foreign(text: str) -> None:
            item = {"id": {"S": secrets.token_hex(8)}, "body": {"S": text}}
            client.put_item(TableName=table, Item=item)

        def begin() -> None:
            for item in client.scan(TableName=table)["Items"]:
                client.delete_item(TableName=table, Key={"id": item["id"]})

        destination = at(dynamodb_local, table, bucket)
        return Place(
            destination,
            destination,
            add_foreign,
            lambda: at(dynamodb_local, "no-such-table", bucket),
            lambda: at(dynamodb_local, table, bucket, "http://127.0.0.1:1"),
            begin=begin,
        )

    def test_an_item_says_to_people_what_it_is(
        self, dynamodb_local: DynamoDBLocal, table: str, bucket: str, client: Any
    ) -> None:
        """What one looks for in a console is beside the document; nothing of the item is but in there."""
        given = parked(error=ValueError("no"))
        at(dynamodb_local, table, bucket).put(given)
        (item,) = client.scan(TableName=table)["Items"]
        assert item.pop("body")
        assert item == {
            "id": {"S": given.id},
            "applicationName": {"S": "orders-to-search"},
            "tableName": {"S": "orders"},
            "shardId": {"S": given.shard_id},
            "sequenceNumber": {"S": "100"},
            "condition": {"S": "RetryAttemptsExhausted"},
            "attempts": {"N": "3"},
            "errorType": {"S": "ValueError"},
            "parkedAt": {"S": "2026-11-24T12:30:15.123+00:00"},
        }

    def test_an_item_is_filled_up_to_the_limit(
        self, dynamodb_local: DynamoDBLocal, table: str, bucket: str, client: Any
    ) -> None:
        """A record of 400 KB less what is around it is kept whole, a larger one goes to S3; DynamoDB takes both."""
        destination = at(dynamodb_local, table, bucket)

        def is_whole(size: int) -> bool:
            destination.put(parked(data="x" * size))
            assert records(destination) == [parked(data="x" * size)]
            (item,) = client.scan(TableName=table)["Items"]
            return "recordLocation" not in item["body"]["S"]

        low, high = _LARGEST_ITEM - 4_000, _LARGEST_ITEM
        assert is_whole(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_whole(middle) else (low, middle)
        (item,) = (is_whole(low) and client.scan(TableName=table)["Items"]) or [{}]
        size = sum(len(name) + len(value.get("S", "x" * 21)) for name, value in item.items())
        assert size == _LARGEST_ITEM

    def test_the_check_writes_nothing(self, place: Place) -> None:
        """Though it finds out whether writing is allowed."""
        place.destination.check()
        assert read(place.reader) == ([], [])

    @pytest.mark.parametrize(
        ("attributes", "keys"),
        [
            ([("id", "N")], [("id", "HASH")]),
            ([("pk", "S")], [("pk", "HASH")]),
            ([("id", "S"), ("sk", "S")], [("id", "HASH"), ("sk", "RANGE")]),
        ],
    )
    def test_a_table_with_another_key_is_refused(
        self,
        dynamodb_local: DynamoDBLocal,
        bucket: str,
        client: Any,
        attributes: list[tuple[str, str]],
        keys: list[tuple[str, str]],
    ) -> None:
        """Before the first record fails."""
        name = f"wrong-{secrets.token_hex(6)}"
        client.create_table(
            TableName=name,
            AttributeDefinitions=[
                {"AttributeName": each, "AttributeType": kind} for each, kind in attributes
            ],
            KeySchema=[{"AttributeName": each, "KeyType": kind} for each, kind in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        with pytest.raises(ConfigurationError, match=f"the key of table {name} must be id, a string"):
            at(dynamodb_local, name, bucket).check()
