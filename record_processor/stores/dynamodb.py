"""Keys in a DynamoDB table: for all hosts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from record_processor.aws import Aws
from record_processor.errors import ConfigurationError
from record_processor.stores import dynamodb_check
from record_processor.stores.per_process import PerProcess
from record_processor.stores.row import Row
from record_processor.stores.store import LOCK_SECONDS, TTL_SECONDS, Clock, Store

_ATTRIBUTES: Final[Mapping[str, tuple[str, type]]] = {
    "status": ("S", str),
    "expiration": ("N", int),  # in seconds, as DynamoDB's time to live wants it
    "lockUntilMillis": ("N", int),
    "owner": ("S", str),
    "process": ("S", str),
    "fencingToken": ("N", int),
}
"""The attribute of each field of a Row, in their order, and its type in DynamoDB and in Python."""


class DynamoDBStore(Store):
    """Keeps keys in a DynamoDB table of their own, whose partition key is the text `id`.

    A record costs two writes, one to begin and one to complete. A call ends within a minute or so; it raises
    botocore's ClientError or BotoCoreError.
    """

    def __init__(
        self,
        table: str,
        region: str,
        endpoint: str | None = None,
        *,
        lock_seconds: int = LOCK_SECONDS,
        ttl_seconds: int = TTL_SECONDS,
        now: Clock = time.time,
    ) -> None:
        """Take the table, where it is, how long a claim holds, how long a repeat is recognized, and a clock.

        The endpoint is for DynamoDB Local.
        """
        where = f"at {endpoint}" if endpoint else f"in {region}"
        super().__init__(f"dynamodb://{table} {where}", lock_seconds, ttl_seconds, now)
        self._table = table
        self._aws = Aws(region, endpoint)
        self._client = PerProcess(lambda: self._aws.client("dynamodb"))

    def swap(self, key: str, expected: Row | None, new: Row | None) -> Row | None:
        """Put one row in the place of another, in one conditional write."""
        client = self._client.get()
        write = {
            "TableName": self._table,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **_condition(expected),
        }
        try:
            if new is None:
                client.delete_item(Key={"id": {"S": key}}, **write)
            else:
                client.put_item(Item=item_of(key, new), **write)
        except client.exceptions.ConditionalCheckFailedException as error:
            return self._row_of(error.response.get("Item"))
        return expected

    def check(self) -> None:
        """Look at the table, and see whether its items can be written; nothing is."""
        client = self._aws.client("dynamodb")
        try:
            dynamodb_check.check(client, self._table, self._aws, self.place)
        finally:
            client.close()

    def close(self) -> None:
        """Close this process's connections."""
        client = self._client.take()
        if client is not None:
            client.close()

    def _row_of(self, item: Mapping[str, Mapping[str, str]] | None) -> Row | None:
        if not item:
            return None
        try:
            return row_of(item)
        except (KeyError, ValueError):
            raise ConfigurationError(
                f"{self.place}: item {item.get('id', {}).get('S')} is none of ours; "
                "name a table that is for this alone"
            ) from None


def item_of(key: str, row: Row) -> dict[str, dict[str, str]]:
    """Return the item of a row, in DynamoDB's JSON."""
    return {"id": {"S": key}, **_attributes(row)}


def row_of(item: Mapping[str, Mapping[str, str]]) -> Row:
    """Return the row of an item. Raises KeyError or ValueError if it is none."""
    return Row(*(python(item[name][kind]) for name, (kind, python) in _ATTRIBUTES.items()))


def _attributes(row: Row) -> dict[str, dict[str, str]]:
    named = zip(_ATTRIBUTES.items(), row, strict=True)
    return {name: {kind: str(value)} for (name, (kind, _)), value in named}


def _condition(expected: Row | None) -> dict[str, Any]:
    """Return what makes a write fail unless exactly this row is there."""
    if expected is None:
        return {"ConditionExpression": "attribute_not_exists(id)"}
    return {
        "ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in _ATTRIBUTES),
        "ExpressionAttributeNames": {f"#{name}": name for name in _ATTRIBUTES},
        "ExpressionAttributeValues": {f":{name}": value for name, value in _attributes(expected).items()},
    }
