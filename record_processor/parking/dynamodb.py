"""`dynamodb://table`: one item for each parked record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from record_processor.errors import ConfigurationError
from record_processor.parking.clients import LazyClient, told
from record_processor.parking.destination import Destination, Entry, Foreign
from record_processor.parking.overflow import Overflow
from record_processor.parking.parked import Parked

_KEY: Final = "id"
_BODY: Final = "body"
_LARGEST_ITEM_BYTES: Final = 400 * 1024
_NUMBER_BYTES: Final = 21
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""


class DynamoDBDestination(Destination):
    """Items with the document as JSON in `body`, and beside it what people look for in a console."""

    def __init__(self, table: str, client: LazyClient, overflow: Overflow) -> None:
        """Take the table's name; nothing is called yet."""
        self._table = table
        self._client = client
        self._overflow = overflow

    def check(self) -> None:
        """Find out whether the table is there and has our key, and whether we may write to it."""
        nothing = f"there is no table {self._table}; create it: {self._create_command()}"
        with told(f"table {self._table}", {"ResourceNotFoundException": nothing}):
            table = self._client().describe_table(TableName=self._table)["Table"]
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        if [(key["AttributeName"], types[key["AttributeName"]]) for key in table["KeySchema"]] != [
            (_KEY, "S")
        ]:
            raise ConfigurationError(
                f"the key of table {self._table} must be id, a string, and nothing else; name another table, "
                f"or create one: {self._create_command()}"
            )
        self._check_write()
        self._overflow.check()

    def put(self, parked: Parked) -> None:
        """Write the item, which takes the place of one of the same record."""
        summary = _summary(parked)
        body = self._overflow.fit(parked, lambda text: _size({**summary, _BODY: text}) <= _LARGEST_ITEM_BYTES)
        item = {name: _attribute(value) for name, value in {**summary, _BODY: body}.items()}
        self._client().put_item(TableName=self._table, Item=item)

    def entries(self) -> Iterator[Entry | Foreign]:
        """Yield the items of the table."""
        for page in self._client().get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True):
            for item in page["Items"]:
                yield self._read(item)

    def delete(self, entry: Entry) -> None:
        """Remove the item, then what it refers to."""
        self._client().delete_item(TableName=self._table, Key={_KEY: {"S": entry.handle}})
        self._overflow.delete(entry)

    def _read(self, item: dict[str, Any]) -> Entry | Foreign:
        key = str(item.get(_KEY, {}).get("S"))
        where = f"dynamodb://{self._table}, id {key}"
        body = item.get(_BODY, {}).get("S")
        return self._overflow.entry(body, where, key) if body else Foreign(where, "it has no body")

    def _check_write(self) -> None:
        """Ask for a write whose condition never holds: if it is allowed, nothing changes."""
        with told(f"table {self._table}"):
            client = self._client()
            with suppress(client.exceptions.ConditionalCheckFailedException):
                client.put_item(
                    TableName=self._table,
                    Item={_KEY: {"S": "check"}},
                    ConditionExpression=f"attribute_exists({_KEY}) AND attribute_not_exists({_KEY})",
                )

    def _create_command(self) -> str:
        endpoint = self._client.aws.dynamodb_endpoint
        return (
            f"aws dynamodb create-table --table-name {self._table} "
            f"--attribute-definitions AttributeName={_KEY},AttributeType=S "
            f"--key-schema AttributeName={_KEY},KeyType=HASH --billing-mode PAY_PER_REQUEST "
            f"--region {self._client.region_name}" + (f" --endpoint-url {endpoint}" if endpoint else "")
        )


def _summary(parked: Parked) -> dict[str, str | int]:
    """Return what is there for people; the document has it all."""
    return {
        _KEY: parked.id,
        "applicationName": parked.application_name,
        "tableName": parked.table_name,
        "shardId": parked.shard_id,
        "sequenceNumber": parked.sequence_number,
        "condition": parked.condition,
        "attempts": parked.attempts,
        "errorType": parked.error.type if parked.error else "",
        "parkedAt": parked.parked_at.isoformat(timespec="milliseconds"),
    }


def _attribute(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _size(item: dict[str, str | int]) -> int:
    return sum(
        len(name) + (len(value.encode()) if isinstance(value, str) else _NUMBER_BYTES)
        for name, value in item.items()
    )
